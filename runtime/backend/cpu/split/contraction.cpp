#include "backend/cpu/split/contraction.h"

#include <algorithm>

namespace trireme::cpu::split {
namespace {

// Rows taken in at a time: both operands' parts stay in the second-level cache.
int64_t rows_contracted(int64_t rows, int64_t left, int64_t right) {
  constexpr int64_t bytes = 1 << 18;
  constexpr int64_t unit = 4 * block;
  int64_t row = planes * (padded(left) + padded(right)) * int64_t{sizeof(uint16_t)};
  return std::min(padded(rows), std::max(bytes / row / unit * unit, unit));
}

// Adds `rows` rows of sums to the total, one after the other.
void add_rows(const float* sums, int64_t rows, std::vector<double>& total) {
  for (int64_t row = 0; row < rows; ++row) {
    for (double& sum : total) sum += double{*sums++};
  }
}

}  // namespace

Contraction::Share::Share(int64_t first_row, int64_t row_count, int64_t first_column, int64_t column_count,
                          int64_t part, bool with_sums)
    : row(first_row),
      rows(row_count),
      column(first_column),
      columns(column_count),
      left(row_count, part),
      right(part, column_count),
      sums(static_cast<size_t>(with_sums ? blocks_of(part) * column_count : 0)),
      total(static_cast<size_t>(with_sums ? column_count : 0)) {}

Contraction::Contraction(int threads, int64_t rows, int64_t height, int64_t width, bool with_sums,
                         int64_t period)
    : threads_(threads),
      rows_(rows),
      height_(height),
      width_(width),
      period_(period),
      part_(rows_contracted(rows, height, width)) {
  bool by_columns = width >= height;
  int64_t wider = by_columns ? width : height, blocks = blocks_of(wider);
  int64_t count = std::min(int64_t{threads}, blocks);
  for (int64_t i = 0; i < count; ++i) {
    int64_t first = i * blocks / count * block, end = std::min((i + 1) * blocks / count * block, wider);
    if (by_columns) {
      shares_.emplace_back(0, height, first, end - first, part_, with_sums);
    } else {
      shares_.emplace_back(first, end - first, 0, width, part_, with_sums && i == 0);
    }
  }
}

void Contraction::split(Share& share, const float* left, const float* right, int64_t row,
                        int64_t count) const {
  for (int64_t first = 0; first < count; first += block) {
    int64_t from = row + first, rows = std::min(block, count - first);
    split_transposed(left + from * height_ + share.row, rows, share.rows, height_, block * height_,
                     share.left.at(0, first));
    pack_panels(right + from * width_ + share.column, rows, share.columns, width_, block * width_,
                share.right.at(0, first / block),
                share.sums.empty() ? nullptr : share.sums.data() + first / block * share.columns);
  }
  if (period_ == 0) return;
  for (int64_t r = row / period_ * period_ + period_ - 1; r < row + count; r += period_) {
    Planes nothing = share.left.at(0, r - row);
    for (int64_t i = 0; i < share.rows; ++i) {
      for (int64_t p = 0; p < planes; ++p) nothing.values[p * nothing.plane + i * nothing.stride] = 0;
    }
  }
}

void Contraction::run(Share& share, const float* left, const float* right, float* c, float* sums) const {
  Tiles tiles;
  std::fill(share.total.begin(), share.total.end(), 0.0);
  for (int64_t row = 0; row < rows_; row += part_) {
    int64_t count = std::min(part_, rows_ - row);
    split(share, left, right, row, count);
    multiply(tiles, {.a = share.left.at().values,
                     .a_plane = share.left.plane,
                     .a_stride = share.left.stride,
                     .a_offsets = nullptr,
                     .panel_offsets = nullptr,
                     .steps = blocks_of(count),
                     .panels = share.right.at().values,
                     .panel_stride = share.right.stride,
                     .rows = share.rows,
                     .columns = share.columns,
                     .c = c + share.row * width_ + share.column,
                     .c_stride = width_,
                     .accumulate = row > 0,
                     .bias = nullptr,
                     .relu = false});
    if (!share.sums.empty()) add_rows(share.sums.data(), blocks_of(count), share.total);
  }
  for (size_t i = 0; i < share.total.size(); ++i) {
    sums[share.column + static_cast<int64_t>(i)] = static_cast<float>(share.total[i]);
  }
}

void Contraction::run(const float* left, const float* right, float* c, float* sums) {
  for_each_index(threads_, static_cast<int64_t>(shares_.size()),
                 [&](int64_t i) { run(shares_[static_cast<size_t>(i)], left, right, c, sums); });
}

}  // namespace trireme::cpu::split
