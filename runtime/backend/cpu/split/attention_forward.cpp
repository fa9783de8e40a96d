// Attention of one head, forward. For each block of 32 queries:
//   1. s = k q^T, keys by queries, for all blocks of keys that a query sees, and each query's largest score
//   m;
//   2. p = exp(s - m) block by block of keys, the sums of p, and y^T = v^T p, which stays in the
//   accumulators;
//   3. y = y^T over the sums, transposed; logsumexp = m + log(sum of p).
// Unlike kernels/attention.cpp all scores of 32 queries are kept (128 bytes a key), so that nothing is
// rescaled.
#include "backend/cpu/split/attention_blocks.h"

namespace trireme::cpu::split {
namespace {

// log(x) of normal numbers, absolutely to 2^-24 near 1.
inline __m512 logarithm(__m512 x) {
  __m512 z = _mm512_sub_ps(_mm512_getmant_ps(x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src), _mm512_set1_ps(1));
  __m512 e = _mm512_getexp_ps(_mm512_mul_ps(x, _mm512_set1_ps(1 / 0.75f)));  // of x = (1 + z) 2^e
  __m512 p = _mm512_set1_ps(0.06036542178f);
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(-0.1251318526f));
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(0.149320348f));
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(-0.1674913877f));
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(0.1997709819f));
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(-0.2499718722f));
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(0.3333356486f));
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(-0.5000001133f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(z, z), z);
  return _mm512_fmadd_ps(e, _mm512_set1_ps(0.693147181f), p);
}

// Of 32 queries.
struct Softmax {
  Pair largest, sum;
};

template <bool whole>
inline void find_largest(const float* scores, int64_t key, int64_t query, const Sight& sight, Pair& largest) {
  for (int64_t r = 0; r < block; ++r) {
    Pair s = load_pair(scores + r * block);
    uint32_t seen = whole ? ~0u : sight.queries(key + r, query);
    // The second operand where one of them is nan: nan counts for nothing.
    largest.first = _mm512_mask_max_ps(largest.first, static_cast<__mmask16>(seen), s.first, largest.first);
    largest.second =
        _mm512_mask_max_ps(largest.second, static_cast<__mmask16>(seen >> 16), s.second, largest.second);
  }
}

template <class T>
using NextHead = Fetcher<T, 3>;

// Of a block of scores the exponentials exp2(s scale - shift), their sums, and, with dropout, their panel.
template <class T, bool whole, bool dropout>
inline void exponentiate(const AttentionTask& t, NextHead<T>& next, const float* scores, int64_t key,
                         int64_t query, const Sight& sight, __m512 scale, const Pair& shift, Pair& sum,
                         uint16_t* panel) {
  constexpr int count = planes_of<T>;
  alignas(64) float factors[4 * block];
  for (int64_t r = 0; r < block; r += 2) {
    next.fetch_row();
    if (dropout && r % 4 == 0) draw_factors(t.dropout, t.length, query, key + r, factors);
    Pair p[2];
    for (int64_t i = 0; i < 2; ++i) {
      Pair s = load_pair(scores + (r + i) * block);
      p[i].first = power_of_two<count>(_mm512_fmsub_ps(s.first, scale, shift.first));
      p[i].second = power_of_two<count>(_mm512_fmsub_ps(s.second, scale, shift.second));
      if constexpr (!whole) {
        uint32_t seen = sight.queries(key + r + i, query);
        p[i].first = _mm512_maskz_mov_ps(static_cast<__mmask16>(seen), p[i].first);
        p[i].second = _mm512_maskz_mov_ps(static_cast<__mmask16>(seen >> 16), p[i].second);
      }
      sum.first = _mm512_add_ps(sum.first, p[i].first);
      sum.second = _mm512_add_ps(sum.second, p[i].second);
      if constexpr (dropout) {
        Pair factor = load_pair(factors + (r % 4 + i) * block);
        p[i].first = _mm512_mul_ps(p[i].first, factor.first);
        p[i].second = _mm512_mul_ps(p[i].second, factor.second);
      }
    }
    Row<count> even_row = split_row<count>(p[0]), odd_row = split_row<count>(p[1]);
    for (int plane = 0; plane < count; ++plane) {
      uint16_t* out = panel + plane * block_elements + r * half_block;
      _mm512_store_si512(out, left_words(even_row.value[plane], odd_row.value[plane]));
      _mm512_store_si512(out + tile_elements, right_words(even_row.value[plane], odd_row.value[plane]));
    }
  }
}

template <class T>
void forward(const AttentionTask& t) {
  constexpr int count = planes_of<T>;
  constexpr int64_t element = count * block_elements;  // of a matrix of blocks
  const int64_t length = blocks_of(t.length), size = blocks_of(t.head_size);
  auto* keys = reinterpret_cast<uint16_t*>(t.scratch);   // [length, size], rows
  uint16_t* values = keys + length * size * element;     // [size, length], rows of the transpose
  uint16_t* queries = values + length * size * element;  // [size], panels of the transpose
  uint16_t* rows = queries + size * element;             // [size], as they come
  uint16_t* exponentials = rows + size * element;        // [length], panels
  auto* scores = reinterpret_cast<float*>(exponentials + length * element);  // [length] blocks
  float* result = scores + length * block_elements;                          // a block
  const int64_t stride = 3 * t.channels;
  const T* qkv = static_cast<const T*>(t.qkv);
  const Sight sight = {t.causal, t.length};
  const __m512 scale = _mm512_set1_ps(t.scale * log2_of_e);
  for (int64_t k = 0; k < length; ++k) {
    const T* from = qkv + k * block * stride;
    int64_t there = t.length - k * block;
    load_blocks(from + t.channels, there, t.head_size, stride, keys + k * size * element);
    load_blocks(from + 2 * t.channels, there, t.head_size, stride, rows);
    for (int64_t c = 0; c < size; ++c) {
      make_rows_transposed<count>(rows + c * element, values + (c * length + k) * element);
    }
  }
  const void* next = t.next_qkv;
  NextHead<T> fetcher = {
      {{next, stride}, {part_of<T>(next, t.channels), stride}, {part_of<T>(next, 2 * t.channels), stride}},
      t.length,
      t.head_size};
  const Tiles tiles;
  for (int64_t q = 0; q < length; ++q) {
    const int64_t query = q * block, there = smaller(t.length - query, block);
    load_blocks(qkv + query * stride, there, t.head_size, stride, rows);
    for (int64_t c = 0; c < size; ++c) {
      make_panel_transposed<count>(rows + c * element, queries + c * element);
    }
    const int64_t end = t.causal ? q + 1 : length;
    const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
    Softmax softmax = {{lowest, lowest}, {_mm512_setzero_ps(), _mm512_setzero_ps()}};
    for (int64_t k = 0; k < end; ++k) {
      clear_block();
      for (int64_t c = 0; c < size; ++c) {
        multiply_blocks<count>(keys + (k * size + c) * element, queries + c * element);
      }
      store_block(scores + k * block_elements);
    }
    for (int64_t k = 0; k < end; ++k) {
      const float* from = scores + k * block_elements;
      auto find = sight.whole(k * block, query) ? find_largest<true> : find_largest<false>;
      find(from, k * block, query, sight, softmax.largest);
    }
    const Pair shift = {_mm512_mul_ps(softmax.largest.first, scale),
                        _mm512_mul_ps(softmax.largest.second, scale)};
    T* y = static_cast<T*>(t.y) + query * t.channels;
    fetch_block_to_write(y, there, t.channels);
    clear_block();
    for (int64_t k = 0; k < end; ++k) {
      const bool whole = sight.whole(k * block, query), dropout = t.dropout.rate != 0.0f;
      auto make = whole ? (dropout ? exponentiate<T, true, true> : exponentiate<T, true, false>)
                        : (dropout ? exponentiate<T, false, true> : exponentiate<T, false, false>);
      uint16_t* panel = exponentials + k * element;
      make(t, fetcher, scores + k * block_elements, k * block, query, sight, scale, shift, softmax.sum,
           panel);
      multiply_blocks<count>(values + k * element, panel);
    }
    const __m512 one = _mm512_set1_ps(1);
    const Pair inverse = {_mm512_div_ps(one, softmax.sum.first), _mm512_div_ps(one, softmax.sum.second)};
    for (int64_t c = 0; c < size; ++c) {
      if (c > 0) {
        clear_block();
        for (int64_t k = 0; k < end; ++k) {
          multiply_blocks<count>(values + (c * length + k) * element, exponentials + k * element);
        }
      }
      store_block(result);
      give_transposed(result, there, t.head_size - c * block, inverse, y + c * block, t.channels);
    }
    const __m512 natural = _mm512_set1_ps(t.scale);
    store_first(t.logsumexp + query,
                _mm512_fmadd_ps(softmax.largest.first, natural, logarithm(softmax.sum.first)), there);
    if (there <= half_block) continue;
    store_first(t.logsumexp + query + half_block,
                _mm512_fmadd_ps(softmax.largest.second, natural, logarithm(softmax.sum.second)),
                there - half_block);
  }
}

}  // namespace

void attention(const AttentionTask& t) {
  t.type == ElementType::float32 ? forward<float>(t) : forward<uint16_t>(t);
}

}  // namespace trireme::cpu::split
