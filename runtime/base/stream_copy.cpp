#include "base/stream_copy.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace trireme {
namespace {

// A float is no finite number when all bits of its exponent are set.
constexpr uint32_t exponent = 0x7f800000u;

bool copy_some(const float* from, float* to, size_t count) {
  std::memcpy(to, from, count * sizeof(float));
  bool broken = false;
  for (size_t i = 0; i < count; ++i) broken |= (std::bit_cast<uint32_t>(from[i]) & exponent) == exponent;
  return !broken;
}

#ifdef __SSE2__

constexpr size_t line_floats = 16;  // a cache line
constexpr size_t page_floats = 1024;
constexpr size_t pages_at_once = 4;
constexpr size_t group_floats = pages_at_once * page_floats;

struct Copier {
  const __m128i mask = _mm_set1_epi32(static_cast<int>(exponent));
  __m128i broken = _mm_setzero_si128();

  // `to` begins a cache line.
  void line(const float* from, float* to) {
    for (size_t part = 0; part < line_floats; part += 4) {
      __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + part));
      broken = _mm_or_si128(broken, _mm_cmpeq_epi32(_mm_and_si128(values, mask), mask));
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + part), values);
    }
  }
  void lines(const float* from, float* to, size_t floats) {
    for (size_t at = 0; at < floats; at += line_floats) line(from + at, to + at);
  }
  // Four pages side by side, as memcpy does it: their translations are looked up, and their first lines
  // fetched, while others are copied; with pages of 4 KiB that is a quarter of the time.
  void group(const float* from, float* to) {
    constexpr size_t stretch = 4 * line_floats;
    for (size_t at = 0; at < page_floats; at += stretch) {
      for (size_t page = 0; page < group_floats; page += page_floats) {
        lines(from + page + at, to + page + at, stretch);
      }
    }
  }
};

bool copy_all(const float* from, float* to, size_t count) {
  constexpr size_t line_bytes = line_floats * sizeof(float);
  size_t misplaced = reinterpret_cast<uintptr_t>(to) % line_bytes / sizeof(float);
  size_t head = std::min(count, misplaced == 0 ? 0 : line_floats - misplaced);
  bool finite = copy_some(from, to, head);
  Copier copier;
  size_t at = head;
  for (; count - at >= group_floats; at += group_floats) copier.group(from + at, to + at);
  size_t whole = (count - at) / line_floats * line_floats;
  copier.lines(from + at, to + at, whole);
  at += whole;
  _mm_sfence();
  finite &= _mm_movemask_epi8(copier.broken) == 0;
  return finite & copy_some(from + at, to + at, count - at);
}

#else

bool copy_all(const float* from, float* to, size_t count) {
  // By pieces that the look finds in the cache.
  constexpr size_t piece = size_t{1} << 14;
  bool finite = true;
  for (size_t at = 0; at < count; at += piece) {
    finite &= copy_some(from + at, to + at, std::min(piece, count - at));
  }
  return finite;
}

#endif

}  // namespace

bool stream_copy(const float* from, float* to, size_t count) { return copy_all(from, to, count); }

}  // namespace trireme
