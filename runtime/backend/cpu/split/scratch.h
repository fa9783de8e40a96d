// Scratch memory of the split products' kernels, made at bind.
#pragma once

#include <algorithm>
#include <vector>

#include "backend/cpu/split/kernels.h"
#include "base/buffer.h"
#include "base/parallel.h"

namespace trireme::cpu::split {

inline Buffer halves(int64_t count) { return Buffer(static_cast<size_t>(count) * sizeof(uint16_t)); }

// Three planes of up to `rows` rows of `columns`. Rows end in a line's worth of padding: a power of two of
// bytes between rows would put all rows of a tile into the same few sets of the cache.
struct PlaneBuffer {
  PlaneBuffer(int64_t rows, int64_t columns)
      : stride(padded(columns) + block), plane(padded(rows) * stride), buffer(halves(planes * plane)) {}
  Planes at(int64_t row = 0, int64_t column = 0) {
    return {buffer.as<uint16_t>() + row * stride + column, plane, stride};
  }
  int64_t stride, plane;
  Buffer buffer;
};

// A matrix's panels, `steps` steps each, one behind the other.
struct PanelBuffer {
  PanelBuffer(int64_t rows, int64_t columns)
      : steps(blocks_of(rows)),
        count(blocks_of(columns)),
        stride(steps * panel_step),
        buffer(halves(count * stride)) {}
  // From a block of 32 columns, and one of 32 rows, on.
  Panels at(int64_t columns = 0, int64_t rows = 0) {
    return {buffer.as<uint16_t>() + columns * stride + rows * panel_step, stride};
  }
  int64_t steps, count, stride;
  Buffer buffer;
};

// Rows that are split at a time: as many as fit into a part of the second-level cache, in blocks.
inline int64_t rows_per_part(int64_t columns) {
  constexpr int64_t bytes = 64 << 10;
  int64_t row = planes * (padded(columns) + block) * int64_t{sizeof(uint16_t)};
  return std::clamp(bytes / row / block * block, block, 8 * block);
}

}  // namespace trireme::cpu::split
