// Attention of one head, backward (Dao, arXiv 2307.08691, algorithm 2), for each block of queries and keys:
//   p = exp(q k^T - logsumexp), dp = dy v^T, ds = p (m dp - rowsum(dy y)), m the dropout's factors,
//   dv += (m p)^T dy, dk += ds^T q, dq += ds k.
// Queries carry the scale of the scores from the start; dq is scaled at the end.
#include "backend/cpu/kernels/attention_blocks.h"
#include "backend/cpu/kernels/set.h"

namespace TRIREME_KERNEL_SPACE {
namespace {

// From a row of scores and of dp: m p in place of the scores and ds in place of dp, zero behind the `seen`
// first.
void differentiate(float* scores, float* dp, int64_t width, int64_t seen, float logsumexp, float delta,
                   const float* factors) {
  const IntVec lane = lane_numbers();
  for (int64_t c = 0; c < width; c += lanes) {
    Vec p = exponential(load(scores + c) - logsumexp);
    p = lane < static_cast<int>(seen - c) ? p : Vec{};
    Vec factor = load(factors + c);
    store(scores + c, p * factor);
    store(dp + c, p * (factor * load(dp + c) - delta));
  }
}

}  // namespace

void attention_backward(const AttentionBackwardTask& t) {
  const int64_t rows = round_up(t.length, attention_padding);
  const int64_t size = round_up(t.head_size, attention_padding);
  const int64_t extent = rows * size;
  float* queries = t.scratch;  // these are [rows, size]
  float* keys = queries + extent;
  float* dys = keys + extent;
  float* dqueries = dys + extent;
  float* dkeys = dqueries + extent;
  float* dvalues = dkeys + extent;
  float* keys_across = dvalues + extent;  // these [size, rows]
  float* values_across = keys_across + extent;
  float* scores = values_across + extent;  // these [block, block]
  float* dscores = scores + block * block;
  float* factors = dscores + block * block;
  const int64_t stride = 3 * t.channels;
  with_type(t.type, t.qkv, [&](auto* qkv) {
    pack_rows(qkv + 2 * t.channels, stride, t.length, t.head_size, 1.0f, keys, rows, size);
    transpose(rows, size, keys, size, values_across, rows);
    pack_rows(qkv + t.channels, stride, t.length, t.head_size, 1.0f, keys, rows, size);
    transpose(rows, size, keys, size, keys_across, rows);
    pack_rows(qkv, stride, t.length, t.head_size, t.scale, queries, rows, size);
  });
  with_type(t.type, t.dy,
            [&](auto* dy) { pack_rows(dy, t.channels, t.length, t.head_size, 1.0f, dys, rows, size); });
  clear(dqueries, 3 * extent);
  for (int64_t c = 0; c < block; c += lanes) store(factors + c, broadcast(1.0f));
  for (int64_t query = 0; query < t.length; query += block) {
    const int64_t count = smaller(t.length - query, block);
    float deltas[block];
    with_type(t.type, t.y, [&](auto* y) {
      for (int64_t r = 0; r < count; ++r) {
        Vec sum{};
        for (int64_t c = 0; c < t.head_size; c += lanes) {
          Vec of_y = load_partial(y + (query + r) * t.channels + c,
                                  static_cast<int>(smaller(t.head_size - c, lanes)));
          sum += of_y * load(dys + (query + r) * size + c);
        }
        deltas[r] = sum_of_lanes(sum);
      }
    });
    const int64_t end = t.causal ? query + count : t.length;
    for (int64_t key = 0; key < end; key += block) {
      for (int64_t r = 0; r < count; r += panel_rows) {
        int64_t last = smaller(r + panel_rows, count) - 1;
        int64_t width = round_up(keys_seen(t.causal, t.length, query + last, key), lanes);
        float* panel = scores + r * block;
        if (key == 0) {
          for (int64_t part = 0; part < 3; ++part) {
            prefetch_panel(t.next_qkv, t.type, part * t.channels, stride, query + r, t.length, t.head_size);
          }
          prefetch_panel(t.next_dy, t.type, 0, t.channels, query + r, t.length, t.head_size);
          prefetch_panel(t.next_y, t.type, 0, t.channels, query + r, t.length, t.head_size);
        }
        float* dpanel = dscores + r * block;
        const int64_t from = (query + r) * size;
        multiply_panel<false>(width, size, queries + from, size, 1, keys_across + key, rows, panel, block);
        multiply_panel<false>(width, size, dys + from, size, 1, values_across + key, rows, dpanel, block);
        for (int64_t i = r; i <= last; ++i) {
          if (t.dropout.rate != 0.0f) draw_factors(t.dropout, t.length, query + i, key, factors);
          differentiate(scores + i * block, dscores + i * block, width,
                        keys_seen(t.causal, t.length, query + i, key), t.logsumexp[query + i], deltas[i],
                        factors);
        }
        multiply_panel<true>(size, width, dpanel, block, 1, keys + key * size, size, dqueries + from, size);
      }
      const int64_t seen = smaller(t.length - key, block);
      for (int64_t k = 0; k < seen; k += panel_rows) {
        int64_t first =
            t.causal && key + k > query ? key + k - query : 0;  // queries before it see none of these
        if (first >= count) break;
        const int64_t at = first * block + k;
        const int64_t from = (query + first) * size;
        multiply_panel<true>(size, count - first, scores + at, 1, block, dys + from, size,
                             dvalues + (key + k) * size, size);
        multiply_panel<true>(size, count - first, dscores + at, 1, block, queries + from, size,
                             dkeys + (key + k) * size, size);
      }
    }
  }
  with_type(t.type, t.dqkv, [&](auto* dqkv) {
    unpack_rows(dqueries, size, t.length, t.head_size, t.scale, dqkv, stride);
    unpack_rows(dkeys, size, t.length, t.head_size, 1.0f, dqkv + t.channels, stride);
    unpack_rows(dvalues, size, t.length, t.head_size, 1.0f, dqkv + 2 * t.channels, stride);
  });
}

}  // namespace TRIREME_KERNEL_SPACE
