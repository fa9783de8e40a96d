// What max and average pooling have in common: the geometry of their square windows, and the samples.
#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "graph/op.h"
#include "ops/rules.h"
#include "ops/window.h"

namespace trireme {

struct Pooling {
  int64_t kernel, stride, padding;
};

// Checks the attributes; padding below kernel gives every window a pixel. Throws GraphError.
inline Pooling pooling_of(const Attributes& attributes) {
  Pooling pool{integer_of_at_least(attributes, "kernel", 1), integer_of_at_least(attributes, "stride", 1),
               integer_of_at_least(attributes, "padding", 0)};
  if (pool.padding >= pool.kernel) {
    throw GraphError("padding {} must be below kernel {}", pool.padding, pool.kernel);
  }
  return pool;
}

// The same where the maximum's position in its window is kept in a byte, which has room for 16 x 16.
inline Pooling max_pooling_of(const Attributes& attributes) {
  Pooling pool = pooling_of(attributes);
  if (pool.kernel > 16) throw GraphError("kernel {} must be at most 16", pool.kernel);
  return pool;
}

// What max_pooling_of reads.
inline std::vector<AttributeRule> max_pooling_attributes() {
  return {{"kernel", int64_t{2}, "extent of the window, both axes; at most 16"},
          {"stride", int64_t{2}, "step of the window, both axes"},
          {"padding", int64_t{0}, "positions around the image that never win; below kernel"}};
}

// The shape [N, OH, OW, C] of images x[N, H, W, C] after pooling.
inline Shape pooled(const Shape& x, const Pooling& pool) {
  return {x[0], window_positions(x[1], pool.kernel, pool.stride, pool.padding, "height"),
          window_positions(x[2], pool.kernel, pool.stride, pool.padding, "width"), x[3]};
}

// The attributes of the backward node of a pooling `node` of images of shape x.
inline Attributes pooling_backward_attributes(const Node& node, const Shape& x) {
  return {{"kernel", node.attributes.integer("kernel")},
          {"stride", node.attributes.integer("stride")},
          {"padding", node.attributes.integer("padding")},
          {"height", x[1]},
          {"width", x[2]}};
}

// Odd extents, overlapping windows, padding.
inline std::vector<OpSample> pooling_samples() {
  return {
      {.inputs = {{2, 6, 8, 3}}},
      {.inputs = {{1, 7, 5, 17}}, .attributes = {{"kernel", int64_t{3}}}},
      {.inputs = {{3, 7, 8, 2}},
       .attributes = {{"kernel", int64_t{3}}, {"stride", int64_t{2}}, {"padding", int64_t{1}}}},
      {.inputs = {{2, 4, 5, 1}}, .attributes = {{"kernel", int64_t{2}}, {"stride", int64_t{1}}}},
  };
}

}  // namespace trireme
