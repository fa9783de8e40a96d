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

// Whole lines, `to` at the beginning of one.
bool stream_lines(const float* from, float* to, size_t lines) {
  const __m128i mask = _mm_set1_epi32(static_cast<int>(exponent));
  __m128i broken = _mm_setzero_si128();
  for (size_t line = 0; line < lines; ++line, from += line_floats, to += line_floats) {
    for (size_t part = 0; part < line_floats; part += 4) {
      __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + part));
      broken = _mm_or_si128(broken, _mm_cmpeq_epi32(_mm_and_si128(values, mask), mask));
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + part), values);
    }
  }
  _mm_sfence();
  return _mm_movemask_epi8(broken) == 0;
}

bool copy_all(const float* from, float* to, size_t count) {
  constexpr size_t line_bytes = line_floats * sizeof(float);
  size_t misplaced = reinterpret_cast<uintptr_t>(to) % line_bytes / sizeof(float);
  size_t head = std::min(count, misplaced == 0 ? 0 : line_floats - misplaced);
  bool finite = copy_some(from, to, head);
  size_t lines = (count - head) / line_floats;
  finite &= stream_lines(from + head, to + head, lines);
  size_t done = head + lines * line_floats;
  return finite & copy_some(from + done, to + done, count - done);
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
