// What the kernels on matrix units share: numbers split into planes, words transposed, tiles loaded and
// multiplied. Only for the .cpp files that backend.cmake compiles for the units; nothing of the standard
// library, whose inline functions must not be compiled for them.
#pragma once

#include <immintrin.h>

#include "backend/cpu/split/kernels.h"

namespace trireme::cpu::split {

inline constexpr int64_t half_block = 16;
inline constexpr int64_t tile_elements = 512;  // 16 rows of 64 bytes
inline constexpr int64_t tile_row_bytes = 64;

typedef __m512i Halves;  // 32 bfloat16 numbers

// Three planes of 32 float32 numbers. In `value[p]` the first 16 lie in the even places and the others in the
// odd ones: a word of 32 bits holds a number of the first and one of the second.
struct Split {
  Halves value[planes];
};

static inline __m512 even(Halves v) { return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16)); }
static inline __m512 odd(Halves v) {
  return _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}

// Rounds to bfloat16; word i holds first[i] below and second[i] above.
static inline Halves interleave(__m512 first, __m512 second) {
  alignas(64) static constexpr uint16_t order[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                     21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                     11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  auto both = reinterpret_cast<Halves>(_mm512_cvtne2ps_pbh(second, first));
  return _mm512_permutexvar_epi16(_mm512_load_si512(order), both);
}

static inline Split split_pair(__m512 first, __m512 second) {
  Split s;
  s.value[0] = interleave(first, second);
  __m512 a = _mm512_sub_ps(first, even(s.value[0])), b = _mm512_sub_ps(second, odd(s.value[0]));
  s.value[1] = interleave(a, b);
  a = _mm512_sub_ps(a, even(s.value[1]));
  b = _mm512_sub_ps(b, odd(s.value[1]));
  s.value[2] = interleave(a, b);
  return s;
}

static inline __mmask16 first_lanes(int64_t count) {
  return count >= half_block ? static_cast<__mmask16>(0xffff)
         : count <= 0        ? static_cast<__mmask16>(0)
                             : static_cast<__mmask16>((1u << count) - 1u);
}

static inline __m512 load_first(const float* p, int64_t count) {
  return _mm512_maskz_loadu_ps(first_lanes(count), p);
}

// Words of the even places first, then of the odd ones: undoes what interleave() did to 32 numbers in a row.
static inline Halves in_row(Halves v) {
  alignas(64) static constexpr uint16_t order[32] = {0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20,
                                                     22, 24, 26, 28, 30, 1,  3,  5,  7,  9,  11,
                                                     13, 15, 17, 19, 21, 23, 25, 27, 29, 31};
  return _mm512_permutexvar_epi16(_mm512_load_si512(order), v);
}

// Transposes 16 rows of 16 words of 32 bits.
static inline void transpose(__m512i (&r)[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int j = 0; j < 2; ++j) {
      r[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + j + 2]);
      r[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + j + 2]);
    }
  }
  // r[4 i + j] holds, of rows 4 i .. 4 i + 3, columns j, j + 4, j + 8, j + 12.
  for (int j = 0; j < 4; ++j) {
    t[j] = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88);      // rows 0..7, columns j and j + 8
    t[4 + j] = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xdd);  // rows 0..7, columns j + 4 and j + 12
    t[8 + j] = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88);
    t[12 + j] = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xdd);
  }
  for (int j = 0; j < 4; ++j) {
    r[j] = _mm512_shuffle_i32x4(t[j], t[8 + j], 0x88);
    r[8 + j] = _mm512_shuffle_i32x4(t[j], t[8 + j], 0xdd);
    r[4 + j] = _mm512_shuffle_i32x4(t[4 + j], t[12 + j], 0x88);
    r[12 + j] = _mm512_shuffle_i32x4(t[4 + j], t[12 + j], 0xdd);
  }
}

// Rows are far apart, so that the processor's own prefetching does not find them.
static inline void fetch(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }

struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// GCC's tile loads do not say that they read memory: keeps stores from being moved behind them.
static inline void finish_stores() { __asm__ volatile("" ::: "memory"); }

// Accumulators 0 to 3 (2 x 2 tiles), the left operand in 4 and 5, the right one in 6 and 7.
template <bool two_rows, bool two_columns>
static inline void multiply_tiles() {
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (two_columns) _tile_dpbf16ps(1, 4, 7);
  if constexpr (two_rows) _tile_dpbf16ps(2, 5, 6);
  if constexpr (two_rows && two_columns) _tile_dpbf16ps(3, 5, 7);
}

// `half` is the distance from the block's first 16 rows to its others.
template <bool two_rows>
static inline void load_left(const uint16_t* a, int64_t stride, int64_t half) {
  _tile_loadd(4, a, stride * 2);
  if constexpr (two_rows) _tile_loadd(5, a + half, stride * 2);
}

template <bool two_columns>
static inline void load_right(const uint16_t* panel, int plane) {
  _tile_loadd(6, panel + 2 * plane * tile_elements, tile_row_bytes);
  if constexpr (two_columns) _tile_loadd(7, panel + (2 * plane + 1) * tile_elements, tile_row_bytes);
}

template <bool two_rows, bool two_columns>
static inline void load_result(const float* c, int64_t stride_bytes) {
  finish_stores();
  int64_t below = half_block * stride_bytes;
  const char* p = reinterpret_cast<const char*>(c);
  _tile_loadd(0, p, stride_bytes);
  if constexpr (two_columns) _tile_loadd(1, p + tile_row_bytes, stride_bytes);
  if constexpr (two_rows) _tile_loadd(2, p + below, stride_bytes);
  if constexpr (two_rows && two_columns) _tile_loadd(3, p + below + tile_row_bytes, stride_bytes);
}

// `below` is the distance in bytes from the block's first 16 rows to its others.
template <bool two_rows, bool two_columns>
static inline void store_result(float* c, int64_t stride_bytes, int64_t below) {
  char* p = reinterpret_cast<char*>(c);
  _tile_stored(0, p, stride_bytes);
  if constexpr (two_columns) _tile_stored(1, p + tile_row_bytes, stride_bytes);
  if constexpr (two_rows) _tile_stored(2, p + below, stride_bytes);
  if constexpr (two_rows && two_columns) _tile_stored(3, p + below + tile_row_bytes, stride_bytes);
}

// A step of 32 contracted elements of a block of 16 or 32 rows and columns: of numbers of three planes the
// six large products, the smallest first; of numbers of one plane the product. between() is called after
// each.
template <int count, bool two_rows, bool two_columns, class Between>
static inline void multiply_step(const uint16_t* left, int64_t plane, int64_t stride, int64_t half,
                                 const uint16_t* panel, const Between& between) {
  finish_stores();
  if constexpr (count == planes) {
    load_left<two_rows>(left + 2 * plane, stride, half);
    load_right<two_columns>(panel, 0);
    multiply_tiles<two_rows, two_columns>();  // a3 b1
    between();
    load_left<two_rows>(left + plane, stride, half);
    multiply_tiles<two_rows, two_columns>();  // a2 b1
    between();
    load_right<two_columns>(panel, 1);
    multiply_tiles<two_rows, two_columns>();  // a2 b2
    between();
    load_left<two_rows>(left, stride, half);
    multiply_tiles<two_rows, two_columns>();  // a1 b2
    between();
    load_right<two_columns>(panel, 2);
    multiply_tiles<two_rows, two_columns>();  // a1 b3
    between();
    load_right<two_columns>(panel, 0);
  } else {
    load_left<two_rows>(left, stride, half);
    load_right<two_columns>(panel, 0);
  }
  multiply_tiles<two_rows, two_columns>();  // a1 b1
  between();
}

// The same where the others follow the first 16 rows.
template <int count, bool two_rows, bool two_columns, class Between>
static inline void multiply_step(const uint16_t* left, int64_t plane, int64_t stride, const uint16_t* panel,
                                 const Between& between) {
  multiply_step<count, two_rows, two_columns>(left, plane, stride, half_block * stride, panel, between);
}

template <bool two_rows, bool two_columns>
static inline void store_result(float* c, int64_t stride_bytes) {
  store_result<two_rows, two_columns>(c, stride_bytes, half_block * stride_bytes);
}

template <bool two_rows, bool two_columns>
static inline void clear_result() {
  _tile_zero(0);
  if constexpr (two_columns) _tile_zero(1);
  if constexpr (two_rows) _tile_zero(2);
  if constexpr (two_rows && two_columns) _tile_zero(3);
}

}  // namespace trireme::cpu::split
