// What both directions of the attention on matrix units share. Only for the .cpp files that backend.cmake
// compiles for the units.
//
// A head's matrices lie in blocks of 32 x 32, each in `count` planes of 1024 bfloat16 numbers (count is 3 for
// float32, 1 for bfloat16), rows and columns padded with zeros. A block has one of two forms:
//   rows:  what a left operand is read from; row r lies at 32 r.
//   panel: what a right operand is read from: two tiles of 16 columns, whose word i holds rows 2 i and
//          2 i + 1 of a column (tiles.h).
// Scores are made transposed, keys by queries: largest scores, sums and masks of queries are then lane by
// lane, and what is made of them is the right operand (or, of rows, the left one) of the next product as it
// comes.
#pragma once

#include "backend/cpu/kernels/draws.h"
#include "backend/cpu/split/attention.h"
#include "backend/cpu/split/tiles.h"

namespace trireme::cpu::split {

inline constexpr int64_t block_elements = block * block;

template <class T>
inline constexpr int planes_of = 1;
template <>
inline constexpr int planes_of<float> = planes;

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Row r of a block of float32 numbers: 32 of them.
struct Pair {
  __m512 first, second;
};
static inline Pair load_pair(const float* p) { return {_mm512_load_ps(p), _mm512_load_ps(p + half_block)}; }

// The numbers' upper halves, of both vectors in a row.
static inline Halves upper_halves(__m512 first, __m512 second) {
  alignas(64) static constexpr uint16_t order[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21,
                                                     23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43,
                                                     45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
  return _mm512_permutex2var_epi16(_mm512_castps_si512(first), _mm512_load_si512(order),
                                   _mm512_castps_si512(second));
}

// Rounded to bfloat16, ties away from zero. A nan may become a number: the last plane keeps it.
static inline __m512 rounded(__m512 x) {
  __m512i bits = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
  return _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}

// `count` planes of 32 numbers in a row. Infinity becomes nan.
template <int count>
struct Row {
  Halves value[count];
};
template <int count>
static inline Row<count> split_row(Pair x) {
  Row<count> row;
  for (int p = 0; p + 1 < count; ++p) {
    __m512 first = rounded(x.first), second = rounded(x.second);
    row.value[p] = upper_halves(first, second);
    x = {_mm512_sub_ps(x.first, first), _mm512_sub_ps(x.second, second)};
  }
  row.value[count - 1] = reinterpret_cast<Halves>(_mm512_cvtne2ps_pbh(x.second, x.first));
  return row;
}

// The first `columns` of 32 numbers of a tensor's row, in planes; the others are zero.
static inline Row<planes> load_row(const float* x, int64_t columns) {
  return split_row<planes>({load_first(x, columns), load_first(x + half_block, columns - half_block)});
}
static inline Row<1> load_row(const uint16_t* x, int64_t columns) {
  __mmask32 lanes = columns >= block ? 0xffffffffu : (1u << columns) - 1u;
  return {{_mm512_maskz_loadu_epi16(lanes, x)}};
}

// Blocks of a tensor's rows, 32 of them from `x` on (those from `rows` on are zero), `size` columns: one
// block behind the other.
template <class T>
static inline void load_blocks(const T* x, int64_t rows, int64_t size, int64_t x_stride, uint16_t* to) {
  constexpr int count = planes_of<T>;
  for (int64_t column = 0; column < size; column += block, to += count * block_elements) {
    for (int64_t r = 0; r < block; ++r) {
      Row<count> row{};
      if (r < rows) row = load_row(x + r * x_stride + column, size - column);
      for (int p = 0; p < count; ++p) _mm512_store_si512(to + p * block_elements + r * block, row.value[p]);
    }
  }
}

// Words of 16 columns of rows 2 i and 2 i + 1: columns 0 to 15, and 16 to 31.
static inline Halves left_words(Halves even_row, Halves odd_row) {
  alignas(64) static constexpr uint16_t order[32] = {0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,
                                                     37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42,
                                                     11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  return _mm512_permutex2var_epi16(even_row, _mm512_load_si512(order), odd_row);
}
static inline Halves right_words(Halves even_row, Halves odd_row) {
  alignas(64) static constexpr uint16_t order[32] = {16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21,
                                                     53, 22, 54, 23, 55, 24, 56, 25, 57, 26, 58,
                                                     27, 59, 28, 60, 29, 61, 30, 62, 31, 63};
  return _mm512_permutex2var_epi16(even_row, _mm512_load_si512(order), odd_row);
}

// From the rows of a block x: the panel of x, the panel of its transpose, the rows of its transpose.
template <int count>
static inline void make_panel(const uint16_t* rows, uint16_t* to) {
  for (int64_t i = 0; i < count * half_block; ++i) {
    Halves even_row = _mm512_load_si512(rows + 2 * i * block);
    Halves odd_row = _mm512_load_si512(rows + (2 * i + 1) * block);
    uint16_t* out = to + i / half_block * block_elements + i % half_block * block;
    _mm512_store_si512(out, left_words(even_row, odd_row));
    _mm512_store_si512(out + tile_elements, right_words(even_row, odd_row));
  }
}

template <int count>
static inline void make_panel_transposed(const uint16_t* rows, uint16_t* to) {
  for (int64_t tile = 0; tile < 2 * count; ++tile, rows += tile_elements, to += tile_elements) {
    __m512i words[16];
    for (int i = 0; i < 16; ++i) words[i] = _mm512_load_si512(rows + i * block);
    transpose(words);
    for (int i = 0; i < 16; ++i) _mm512_store_si512(to + i * block, words[i]);
  }
}

template <int count>
static inline void make_rows_transposed(const uint16_t* rows, uint16_t* to) {
  for (int p = 0; p < count; ++p, rows += block_elements, to += block_elements) {
    __m512i left[16], right[16];
    for (int i = 0; i < 16; ++i) {
      Halves even_row = _mm512_load_si512(rows + 2 * i * block);
      Halves odd_row = _mm512_load_si512(rows + (2 * i + 1) * block);
      left[i] = left_words(even_row, odd_row);
      right[i] = right_words(even_row, odd_row);
    }
    transpose(left);
    transpose(right);
    for (int i = 0; i < 16; ++i) {
      _mm512_store_si512(to + i * block, left[i]);
      _mm512_store_si512(to + (16 + i) * block, right[i]);
    }
  }
}

// The accumulators plus, or from zero, a left block times a right one.
template <int count>
static inline void multiply_blocks(const uint16_t* rows, const uint16_t* panel) {
  multiply_step<count, true, true>(rows, block_elements, block, panel, [] {});
}
static inline void clear_block() { clear_result<true, true>(); }
static inline void load_block(const float* c) { load_result<true, true>(c, block * 4); }
static inline void store_block(float* c) { store_result<true, true>(c, block * 4); }

static inline void store_first(float* p, __m512 v, int64_t count) {
  _mm512_mask_storeu_ps(p, first_lanes(count), v);
}
static inline void store_first(uint16_t* p, __m512 v, int64_t count) {
  _mm256_mask_storeu_epi16(p, first_lanes(count), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
}

// A block [32, 32] of float32 numbers times `factor`, as it lies, to a tensor's rows and columns.
template <class T>
static inline void give_block(const float* c, int64_t rows, int64_t columns, float factor, T* to,
                              int64_t to_stride) {
  for (int64_t r = 0; r < smaller(rows, block); ++r) {
    Pair x = load_pair(c + r * block);
    store_first(to + r * to_stride, _mm512_mul_ps(x.first, _mm512_set1_ps(factor)), columns);
    if (columns <= half_block) continue;
    store_first(to + r * to_stride + half_block, _mm512_mul_ps(x.second, _mm512_set1_ps(factor)),
                columns - half_block);
  }
}

// The same of its transpose; `factors` are those of c's columns, which become the rows.
template <class T>
static inline void give_transposed(const float* c, int64_t rows, int64_t columns, Pair factors, T* to,
                                   int64_t to_stride) {
  for (int64_t row = 0; row < smaller(rows, block); row += half_block) {
    for (int64_t column = 0; column < smaller(columns, block); column += half_block) {
      __m512i words[16];
      for (int i = 0; i < 16; ++i) {
        __m512 x = _mm512_load_ps(c + (column + i) * block + row);
        words[i] = _mm512_castps_si512(_mm512_mul_ps(x, row == 0 ? factors.first : factors.second));
      }
      transpose(words);
      for (int64_t i = 0; i < smaller(rows - row, half_block); ++i) {
        store_first(to + (row + i) * to_stride + column, _mm512_castsi512_ps(words[i]), columns - column);
      }
    }
  }
}

// 2^x, relatively to 2^-22 (float32) and 2^-18 (bfloat16, whose own rounding is 2^-9); 0 far below. A
// polynomial of x - floor(x); minimax.
template <int count>
static inline __m512 power_of_two(__m512 x) {
  constexpr int down = 1;
  __m512 f = _mm512_reduce_ps(x, down), p;
  if constexpr (count == 1) {
    p = _mm512_set1_ps(0.01353414772f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.05201149941f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.241442734f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.6930038387f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.000002593f));
  } else {
    p = _mm512_set1_ps(0.0002170223811f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.001243969289f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.009678840445f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.05548334226f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.2402298362f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.6931469838f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
  }
  return _mm512_scalef_ps(p, x);
}

inline constexpr float log2_of_e = 1.44269504f;

// Which of the 32 queries from `query` on see `key`: those behind it where attention is causal.
struct Sight {
  bool causal;
  int64_t length;
  uint32_t queries(int64_t key, int64_t query) const {
    int64_t before = causal ? key - query : 0;
    if (key >= length || before >= block) return 0;
    return ~0u << (before < 0 ? 0 : before);
  }
  // Whether all of the 32 queries see all of the 32 keys from `key` on.
  bool whole(int64_t key, int64_t query) const {
    return key + block <= length && (!causal || key + block <= query + 1);
  }
};

// The dropout's factors (0, or 1 / (1 - rate)) of four keys from `key` on (a multiple of four), 32 queries
// each: what draw_factors of kernels/attention_blocks.h draws for one query and many keys.
static inline void draw_factors(const AttentionDropout& d, int64_t length, int64_t query, int64_t key,
                                float* factors) {
  namespace vectors = TRIREME_KERNEL_SPACE;
  using vectors::Vec, vectors::WordVec;
  const auto blocks_of_row = static_cast<uint32_t>((length + 3) / 4);
  const Vec kept = Vec{} + 1.0f / (1.0f - d.rate);
  for (int64_t q = 0; q < block; q += vectors::lanes) {
    uint32_t first = static_cast<uint32_t>(d.first_row + query + q) * blocks_of_row;
    WordVec counter = vectors::word_numbers() * blocks_of_row + first + static_cast<uint32_t>(key / 4);
    WordVec words[4] = {counter, WordVec{} + d.sample, WordVec{} + d.step, WordVec{} + d.layer};
    vectors::scramble(words, d.key0, d.key1);
    for (int i = 0; i < 4; ++i) {
      vectors::store(factors + i * block + q, vectors::uniform_of(words[i]) >= Vec{} + d.rate ? kept : Vec{});
    }
  }
}

// Fetches the rows that the next head is read from, some at a time while this one is computed: they lie far
// apart, where the processor's own prefetchers do not follow, and many at once would wait for each other.
template <class T, int tensors>
struct Fetcher {
  struct Rows {
    const void* first;  // or null
    int64_t stride;     // in elements
  };
  Rows of[tensors];
  int64_t length, size;
  int64_t row = 0;

  // One row of each tensor.
  void fetch_row() {
    if (row >= length) return;
    for (const Rows& rows : of) {
      if (rows.first == nullptr) continue;
      const char* from = reinterpret_cast<const char*>(static_cast<const T*>(rows.first) + row * rows.stride);
      const int64_t bytes = size * static_cast<int64_t>(sizeof(T));
      for (int64_t at = 0; at < bytes; at += 64) _mm_prefetch(from + at, _MM_HINT_T1);
      _mm_prefetch(from + bytes - 1, _MM_HINT_T1);
    }
    ++row;
  }
};
template <class T>
static inline const void* part_of(const void* qkv, int64_t offset) {
  return qkv == nullptr ? nullptr : static_cast<const T*>(qkv) + offset;
}

// Lines of a block of a tensor that will be written.
template <class T>
static inline void fetch_block_to_write(T* to, int64_t rows, int64_t to_stride) {
  for (int64_t r = 0; r < smaller(rows, block); ++r) {
    _m_prefetchw(to + r * to_stride);
    _m_prefetchw(to + r * to_stride + half_block);
  }
}

}  // namespace trireme::cpu::split
