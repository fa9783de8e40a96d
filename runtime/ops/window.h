// Geometry of windows that slide over an axis (convolution, pooling): output position o covers the input
// positions o * stride - padding + 0 .. kernel - 1.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace trireme {

// Number of window positions along an axis. Throws GraphError when not even one window fits.
inline int64_t window_positions(int64_t extent, int64_t kernel, int64_t stride, int64_t padding,
                                std::string_view axis) {
  if (extent + 2 * padding < kernel) {
    throw GraphError("a window of {} does not fit into {} {} padded by {} on each side", kernel, axis, extent,
                     padding);
  }
  return (extent + 2 * padding - kernel) / stride + 1;
}

// The part of a window that lies inside the axis: input positions [begin, end), and where it starts in the
// window.
struct WindowSpan {
  int64_t begin;
  int64_t end;
  int64_t skipped;
};

inline WindowSpan window_span(int64_t output, int64_t extent, int64_t kernel, int64_t stride,
                              int64_t padding) {
  int64_t first = output * stride - padding;
  int64_t begin = first < 0 ? 0 : first;
  int64_t end = first + kernel > extent ? extent : first + kernel;
  return {begin, end < begin ? begin : end, begin - first};
}

// The output position whose window has `input` at position `k`, or -1 when there is none.
inline int64_t window_at(int64_t input, int64_t k, int64_t outputs, int64_t stride, int64_t padding) {
  int64_t offset = input + padding - k;
  if (offset < 0 || offset % stride != 0 || offset / stride >= outputs) return -1;
  return offset / stride;
}

}  // namespace trireme
