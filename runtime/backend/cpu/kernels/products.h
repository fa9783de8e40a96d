// Small matrix products for the blocks of the attention. Only for the .cpp files of this folder.
#pragma once

#include "backend/cpu/kernels/draws.h"
#include "backend/cpu/kernels/functions.h"

namespace TRIREME_KERNEL_SPACE {

// Rows of a result that are computed at once, chosen so that sums of two vectors a row stay in registers.
inline constexpr int64_t panel_rows = lanes == 16 ? 8 : 4;

template <int vectors, bool adds>
static inline void panel_columns(int64_t depth, const float* a, int64_t a_row, int64_t a_depth,
                                 const float* b, int64_t b_row, float* c, int64_t c_row) {
  Vec sums[panel_rows][vectors];
  for (int64_t r = 0; r < panel_rows; ++r) {
    for (int v = 0; v < vectors; ++v) sums[r][v] = adds ? load(c + r * c_row + v * lanes) : Vec{};
  }
  for (int64_t k = 0; k < depth; ++k) {
    Vec of_b[vectors];
    for (int v = 0; v < vectors; ++v) of_b[v] = load(b + k * b_row + v * lanes);
    for (int64_t r = 0; r < panel_rows; ++r) {
      Vec of_a = broadcast(a[r * a_row + k * a_depth]);
      for (int v = 0; v < vectors; ++v) sums[r][v] += of_a * of_b[v];
    }
  }
  for (int64_t r = 0; r < panel_rows; ++r) {
    for (int v = 0; v < vectors; ++v) store(c + r * c_row + v * lanes, sums[r][v]);
  }
}

// c[panel_rows, columns] = (adds: +=) a[panel_rows, depth] b[depth, columns]; `columns` is a multiple of
// lanes. Element (r, k) of a lies at r * a_row + k * a_depth, so that a may be taken transposed.
template <bool adds>
static inline void multiply_panel(int64_t columns, int64_t depth, const float* a, int64_t a_row,
                                  int64_t a_depth, const float* b, int64_t b_row, float* c, int64_t c_row) {
  int64_t n = 0;
  for (; n + 2 * lanes <= columns; n += 2 * lanes) {
    panel_columns<2, adds>(depth, a, a_row, a_depth, b + n, b_row, c + n, c_row);
  }
  if (n < columns) panel_columns<1, adds>(depth, a, a_row, a_depth, b + n, b_row, c + n, c_row);
}

// to[c][r] = from[r][c]; rows and columns are multiples of lanes.
static inline void transpose(int64_t rows, int64_t columns, const float* from, int64_t from_row, float* to,
                             int64_t to_row) {
  for (int64_t r = 0; r < rows; r += lanes) {
    for (int64_t c = 0; c < columns; c += lanes) {
      Vec tile[2][lanes];
      for (int i = 0; i < lanes; ++i) tile[0][i] = load(from + (r + i) * from_row + c);
      int at = 0;
      for (int step = 1; step < lanes; step *= 2, at ^= 1) {  // each a perfect shuffle of all elements
        for (int i = 0; i < lanes / 2; ++i) {
          Vec low = tile[at][i];
          Vec high = tile[at][i + lanes / 2];
          tile[at ^ 1][2 * i] = zip<0>(low, high);
          tile[at ^ 1][2 * i + 1] = zip<lanes / 2>(low, high);
        }
      }
      for (int i = 0; i < lanes; ++i) store(to + (c + i) * to_row + r, tile[at][i]);
    }
  }
}

}  // namespace TRIREME_KERNEL_SPACE
