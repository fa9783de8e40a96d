// Attention of one head, forward (Dao, "FlashAttention-2", arXiv 2307.08691, algorithm 1). For each block of
// queries:
//   1. over blocks of keys: scores s = q k^T, a row's largest score so far m, p = exp(s - m);
//   2. the sums of p and of p v so far are scaled down by exp(m before - m now), then the block's are added;
//   3. y = (sum of p v) / (sum of p), logsumexp = m + log(sum of p).
// Keys after a causal query are left out, by blocks and within a block by panels of rows.
#include "backend/cpu/kernels/attention_blocks.h"
#include "backend/cpu/kernels/set.h"

namespace TRIREME_KERNEL_SPACE {
namespace {

// What is known of a row before the softmax is complete.
struct RowState {
  float largest;
  Vec sum;  // by lane
};

// Turns a row of scores into exponentials, zero behind the `seen` first, and brings the row's state and its
// sum of values (`values`, of `size` elements) up to date.
void exponentiate(float* scores, int64_t width, int64_t seen, RowState& state, float* values, int64_t size) {
  const IntVec lane = lane_numbers();
  Vec largest = broadcast(state.largest);
  for (int64_t c = 0; c < width; c += lanes) {
    Vec v = load(scores + c);
    v = lane < static_cast<int>(seen - c) ? v : broadcast(-__builtin_inff());
    store(scores + c, v);
    largest = v > largest ? v : largest;
  }
  float before = state.largest;
  state.largest = largest_of_lanes(largest);
  if (state.largest != before) {
    Vec factor = exponential(broadcast(before - state.largest));
    state.sum = state.sum * factor;
    for (int64_t c = 0; c < size; c += lanes) store(values + c, load(values + c) * factor);
  }
  for (int64_t c = 0; c < width; c += lanes) {
    Vec p = exponential(load(scores + c) - state.largest);
    state.sum += p;
    store(scores + c, p);
  }
}

}  // namespace

void attention(const AttentionTask& t) {
  const int64_t rows = round_up(t.length, attention_padding);
  const int64_t size = round_up(t.head_size, attention_padding);
  float* keys = t.scratch;                // [size, rows], transposed
  float* values = keys + rows * size;     // [rows, size]
  float* queries = values + rows * size;  // [block, size]
  float* sums = queries + block * size;   // [block, size]
  float* scores = sums + block * size;    // [block, block]
  float* factors = scores + block * block;
  RowState states[block];
  const int64_t stride = 3 * t.channels;
  with_type(t.type, t.qkv, [&](auto* qkv) {
    pack_rows(qkv + t.channels, stride, t.length, t.head_size, 1.0f, values, rows, size);
    transpose(rows, size, values, size, keys, rows);
    pack_rows(qkv + 2 * t.channels, stride, t.length, t.head_size, 1.0f, values, rows, size);
  });
  for (int64_t query = 0; query < t.length; query += block) {
    const int64_t count = smaller(t.length - query, block);
    const int64_t panels = round_up(count, panel_rows);
    with_type(t.type, t.qkv, [&](auto* qkv) {
      pack_rows(qkv + query * stride, stride, count, t.head_size, t.scale, queries, panels, size);
    });
    clear(sums, panels * size);
    for (int64_t r = 0; r < count; ++r) states[r] = {-__builtin_inff(), Vec{}};
    const int64_t end = t.causal ? query + count : t.length;
    for (int64_t key = 0; key < end; key += block) {
      for (int64_t r = 0; r < panels; r += panel_rows) {
        int64_t last = smaller(r + panel_rows, count) - 1;
        int64_t width = round_up(keys_seen(t.causal, t.length, query + last, key), lanes);
        float* panel = scores + r * block;
        if (key == 0) {
          for (int64_t part = 0; part < 3; ++part) {
            prefetch_panel(t.next_qkv, t.type, part * t.channels, stride, query + r, t.length, t.head_size);
          }
        }
        multiply_panel<false>(width, size, queries + r * size, size, 1, keys + key, rows, panel, block);
        for (int64_t i = r; i <= last; ++i) {
          float* row = scores + i * block;
          exponentiate(row, width, keys_seen(t.causal, t.length, query + i, key), states[i], sums + i * size,
                       size);
          if (t.dropout.rate == 0.0f) continue;
          draw_factors(t.dropout, t.length, query + i, key, factors);
          for (int64_t c = 0; c < width; c += lanes) store(row + c, load(row + c) * load(factors + c));
        }
        multiply_panel<true>(size, width, panel, block, 1, values + key * size, size, sums + r * size, size);
      }
    }
    for (int64_t r = 0; r < count; ++r) {
      float sum = sum_of_lanes(states[r].sum);
      t.logsumexp[query + r] = states[r].largest + __builtin_logf(sum);
      Vec inverse = broadcast(1.0f / sum);
      for (int64_t c = 0; c < size; c += lanes)
        store(sums + r * size + c, load(sums + r * size + c) * inverse);
    }
    with_type(t.type, t.y, [&](auto* y) {
      unpack_rows(sums, size, count, t.head_size, 1.0f, y + query * t.channels, t.channels);
    });
  }
}

}  // namespace TRIREME_KERNEL_SPACE
