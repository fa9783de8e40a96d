// Attention of one head, backward. For each block of 32 keys and each of 32 queries that see them, keys by
// queries:
//   p = exp(k q^T - logsumexp), dp = v dy^T, ds = p (m dp - rowsum(dy y)), m the dropout's factors,
//   dq^T += k^T ds.
// Then, over those queries, dv = (m p) dy and dk = ds q. Of long heads the queries are gone through in
// chunks, so that what is kept of p and ds does not grow.
#include "backend/cpu/split/attention_blocks.h"

namespace trireme::cpu::split {
namespace {

// A head's matrices in scratch; the first six hold [length, size] or [size, length] blocks.
template <class T>
struct Head {
  static constexpr int count = planes_of<T>;
  static constexpr int64_t element = count * block_elements;  // of a matrix of blocks
  int64_t length, size;                                       // in blocks
  uint16_t *keys, *values;                                    // [length, size], rows
  uint16_t* keys_across;                                      // [size, length], rows of the transpose
  uint16_t *queries, *dys;                                    // [length, size], panels
  uint16_t *queries_across, *dys_across;                      // [length, size], panels of the transpose
  uint16_t* rows;                                             // [size], as they come
  uint16_t *kept, *slopes;                                    // [attention_chunk], m p and ds, rows
  uint16_t* slope_panels;                                     // [attention_chunk], ds
  float* dqueries;                                            // [size, length], of the transpose
  float *dkeys, *dvalues;                                     // [size]
  float *scores, *dp;                                         // a block
  float *shift, *delta;                                       // of each query

  explicit Head(const AttentionBackwardTask& t) : length(blocks_of(t.length)), size(blocks_of(t.head_size)) {
    auto* next = reinterpret_cast<uint16_t*>(t.scratch);
    auto take = [&](int64_t blocks) {
      uint16_t* taken = next;
      next += blocks * element;
      return taken;
    };
    uint16_t** const of_head[] = {&keys, &values, &keys_across, &queries, &dys, &queries_across, &dys_across};
    for (uint16_t** matrix : of_head) *matrix = take(length * size);
    rows = take(size);
    uint16_t** const of_chunk[] = {&kept, &slopes, &slope_panels};
    for (uint16_t** matrix : of_chunk) *matrix = take(attention_chunk);
    dqueries = reinterpret_cast<float*>(next);
    dkeys = dqueries + length * size * block_elements;
    dvalues = dkeys + size * block_elements;
    scores = dvalues + size * block_elements;
    dp = scores + block_elements;
    shift = dp + block_elements;
    delta = shift + length * block;
  }

  void load(const AttentionBackwardTask& t);
  void load_sums(const AttentionBackwardTask& t, int64_t query);
};

inline __m512 load_floats(const float* x, int64_t count) { return load_first(x, count); }
inline __m512 load_floats(const uint16_t* x, int64_t count) {
  __m256i halves = _mm256_maskz_loadu_epi16(first_lanes(count), x);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

// Of 32 queries logsumexp for exponents of two, and rowsum(dy y); zero behind the last.
template <class T>
void Head<T>::load_sums(const AttentionBackwardTask& t, int64_t query) {
  for (int64_t q = query; q < query + block; q += half_block) {
    __m512 sums = load_first(t.logsumexp + q, t.length - q);
    _mm512_store_ps(shift + q, _mm512_mul_ps(sums, _mm512_set1_ps(log2_of_e)));
    __m512i products[16];
    for (int64_t i = 0; i < 16; ++i) {
      __m512 product = _mm512_setzero_ps();
      for (int64_t c = 0; q + i < t.length && c < t.head_size; c += half_block) {
        int64_t at = (q + i) * t.channels + c;
        product = _mm512_fmadd_ps(load_floats(static_cast<const T*>(t.y) + at, t.head_size - c),
                                  load_floats(static_cast<const T*>(t.dy) + at, t.head_size - c), product);
      }
      products[i] = _mm512_castps_si512(product);
    }
    transpose(products);
    __m512 sum = _mm512_castsi512_ps(products[0]);
    for (int64_t i = 1; i < 16; ++i) sum = _mm512_add_ps(sum, _mm512_castsi512_ps(products[i]));
    _mm512_store_ps(delta + q, sum);
  }
}

template <class T>
void Head<T>::load(const AttentionBackwardTask& t) {
  const int64_t stride = 3 * t.channels;
  for (int64_t i = 0; i < length; ++i) {
    const T* qkv = static_cast<const T*>(t.qkv) + i * block * stride;
    const int64_t there = t.length - i * block, at = i * size * element;
    load_blocks(qkv, there, t.head_size, stride, rows);
    for (int64_t c = 0; c < size; ++c) {
      make_panel<count>(rows + c * element, queries + at + c * element);
      make_panel_transposed<count>(rows + c * element, queries_across + at + c * element);
    }
    load_blocks(static_cast<const T*>(t.dy) + i * block * t.channels, there, t.head_size, t.channels, rows);
    for (int64_t c = 0; c < size; ++c) {
      make_panel<count>(rows + c * element, dys + at + c * element);
      make_panel_transposed<count>(rows + c * element, dys_across + at + c * element);
    }
    load_blocks(qkv + t.channels, there, t.head_size, stride, keys + at);
    load_blocks(qkv + 2 * t.channels, there, t.head_size, stride, values + at);
    for (int64_t c = 0; c < size; ++c) {
      make_rows_transposed<count>(keys + at + c * element, keys_across + (c * length + i) * element);
    }
    load_sums(t, i * block);
  }
}

template <class T>
using NextHead = Fetcher<T, 5>;

// From a block of scores and of dp: m p as rows, ds as rows and as a panel.
template <class T, bool whole, bool dropout>
inline void differentiate(const AttentionBackwardTask& t, const Head<T>& h, int64_t key, int64_t query,
                          int64_t place, NextHead<T>& next) {
  constexpr int count = Head<T>::count;
  const Sight sight = {t.causal, t.length};
  const __m512 scale = _mm512_set1_ps(t.scale * log2_of_e);
  const Pair shift = load_pair(h.shift + query), delta = load_pair(h.delta + query);
  const int64_t queries = t.length - query;
  const uint32_t there = queries >= block ? ~0u : (1u << queries) - 1u;
  uint16_t* kept = h.kept + place * Head<T>::element;
  uint16_t* slopes = h.slopes + place * Head<T>::element;
  uint16_t* panel = h.slope_panels + place * Head<T>::element;
  alignas(64) float factors[4 * block];
  for (int64_t r = 0; r < block; r += 2) {
    next.fetch_row();
    if (dropout && r % 4 == 0) draw_factors(t.dropout, t.length, query, key + r, factors);
    Row<count> ds[2];
    for (int64_t i = 0; i < 2; ++i) {
      Pair p = load_pair(h.scores + (r + i) * block), dp = load_pair(h.dp + (r + i) * block);
      p.first = power_of_two<count>(_mm512_fmsub_ps(p.first, scale, shift.first));
      p.second = power_of_two<count>(_mm512_fmsub_ps(p.second, scale, shift.second));
      if constexpr (!whole) {
        uint32_t seen = sight.queries(key + r + i, query) & there;
        p.first = _mm512_maskz_mov_ps(static_cast<__mmask16>(seen), p.first);
        p.second = _mm512_maskz_mov_ps(static_cast<__mmask16>(seen >> 16), p.second);
      }
      Pair kept_p = p;
      if constexpr (dropout) {
        Pair factor = load_pair(factors + (r % 4 + i) * block);
        kept_p = {_mm512_mul_ps(p.first, factor.first), _mm512_mul_ps(p.second, factor.second)};
        dp = {_mm512_mul_ps(dp.first, factor.first), _mm512_mul_ps(dp.second, factor.second)};
      }
      dp.first = _mm512_mul_ps(p.first, _mm512_sub_ps(dp.first, delta.first));
      dp.second = _mm512_mul_ps(p.second, _mm512_sub_ps(dp.second, delta.second));
      Row<count> row = split_row<count>(kept_p);
      ds[i] = split_row<count>(dp);
      for (int plane = 0; plane < count; ++plane) {
        int64_t at = plane * block_elements + (r + i) * block;
        _mm512_store_si512(kept + at, row.value[plane]);
        _mm512_store_si512(slopes + at, ds[i].value[plane]);
      }
    }
    for (int plane = 0; plane < count; ++plane) {
      uint16_t* out = panel + plane * block_elements + r * half_block;
      _mm512_store_si512(out, left_words(ds[0].value[plane], ds[1].value[plane]));
      _mm512_store_si512(out + tile_elements, right_words(ds[0].value[plane], ds[1].value[plane]));
    }
  }
}

// The block [k, q] of all [size] products of rows and panels.
template <int count>
inline void contract(int64_t size, const uint16_t* rows, const uint16_t* panels, float* c) {
  clear_block();
  for (int64_t i = 0; i < size; ++i) {
    multiply_blocks<count>(rows + i * count * block_elements, panels + i * count * block_elements);
  }
  store_block(c);
}

template <class T>
void backward(const AttentionBackwardTask& t) {
  constexpr int count = Head<T>::count;
  constexpr int64_t element = Head<T>::element;
  Head<T> h(t);
  h.load(t);
  const int64_t length = h.length, size = h.size, stride = 3 * t.channels;
  const Sight sight = {t.causal, t.length};
  T* dqkv = static_cast<T*>(t.dqkv);
  NextHead<T> next = {{{t.next_qkv, stride},
                       {part_of<T>(t.next_qkv, t.channels), stride},
                       {part_of<T>(t.next_qkv, 2 * t.channels), stride},
                       {t.next_dy, t.channels},
                       {t.next_y, t.channels}},
                      t.length,
                      t.head_size};
  const Tiles tiles;
  for (int64_t k = 0; k < length; ++k) {
    const int64_t key = k * block;
    const int64_t first = t.causal ? k : 0;
    for (int64_t begin = first; begin < length; begin += attention_chunk) {
      const int64_t end = smaller(begin + attention_chunk, length);
      for (int64_t q = begin; q < end; ++q) {
        const int64_t of_key = k * size * element, of_query = q * size * element;
        contract<count>(size, h.keys + of_key, h.queries_across + of_query, h.scores);
        contract<count>(size, h.values + of_key, h.dys_across + of_query, h.dp);
        const bool dropout = t.dropout.rate != 0.0f;
        const bool whole = sight.whole(key, q * block) && (q + 1) * block <= t.length;
        auto make = whole ? (dropout ? differentiate<T, true, true> : differentiate<T, true, false>)
                          : (dropout ? differentiate<T, false, true> : differentiate<T, false, false>);
        make(t, h, key, q * block, q - begin, next);
        for (int64_t c = 0; c < size; ++c) {
          float* dquery = h.dqueries + (c * length + q) * block_elements;
          k == 0 ? clear_block() : load_block(dquery);
          multiply_blocks<count>(h.keys_across + (c * length + k) * element,
                                 h.slope_panels + (q - begin) * element);
          store_block(dquery);
        }
      }
      for (int64_t c = 0; c < size; ++c) {
        for (int of = 0; of < 2; ++of) {
          const bool of_values = of == 0;
          float* sum = (of_values ? h.dvalues : h.dkeys) + c * block_elements;
          const uint16_t* rows = of_values ? h.kept : h.slopes;
          const uint16_t* panels = of_values ? h.dys : h.queries;
          T* to = dqkv + key * stride + (of_values ? 2 : 1) * t.channels + c * block;
          if (end == length) fetch_block_to_write(to, t.length - key, stride);
          begin == first ? clear_block() : load_block(sum);
          for (int64_t q = begin; q < end; ++q) {
            multiply_blocks<count>(rows + (q - begin) * element, panels + (q * size + c) * element);
          }
          store_block(sum);
          if (end < length) continue;
          give_block(sum, t.length - key, t.head_size - c * block, of_values ? 1.0f : t.scale, to, stride);
        }
      }
    }
  }
  const Pair scale = {_mm512_set1_ps(t.scale), _mm512_set1_ps(t.scale)};
  for (int64_t q = 0; q < length; ++q) {
    for (int64_t c = 0; c < size; ++c) {
      give_transposed(h.dqueries + (c * length + q) * block_elements, t.length - q * block,
                      t.head_size - c * block, scale, dqkv + q * block * stride + c * block, stride);
    }
  }
}

}  // namespace

void attention_backward(const AttentionBackwardTask& t) {
  t.type == ElementType::float32 ? backward<float>(t) : backward<uint16_t>(t);
}

}  // namespace trireme::cpu::split
