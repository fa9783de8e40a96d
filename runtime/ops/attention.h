// The extents of attention, and which probabilities its dropout keeps (in every backend).
#pragma once

#include <cmath>
#include <cstdint>

#include "ops/dropout.h"

namespace trireme {

// Extents of one call. A sample's row of qkv holds q, k and v of `channels` each, heads side by side in each.
struct AttentionExtents {
  int64_t samples, length, channels, heads;
  int64_t head_size() const { return channels / heads; }
  // Factor of the products of queries and keys: 1 / sqrt(head size).
  double scale() const { return 1 / std::sqrt(static_cast<double>(head_size())); }
};

// Blocks of four draws (dropout_draws) that a row of probabilities takes: rows start at a block of their own.
inline int64_t attention_draw_blocks(int64_t length) { return (length + 3) / 4; }

// Whether dropout keeps the probability with which `query` of local sample `sample` looks at `key`.
inline bool attention_keeps(const StepScalars& scalars, uint32_t layer, const AttentionExtents& e,
                            int64_t sample, int64_t head, int64_t query, int64_t key, float rate) {
  int64_t row = head * e.length + query;
  return dropout_keeps(scalars, layer, sample, row * attention_draw_blocks(e.length) * 4 + key, rate);
}

}  // namespace trireme
