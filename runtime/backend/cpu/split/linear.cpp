#include "backend/cpu/split/linear.h"

#include <memory>

#include "backend/cpu/packing.h"
#include "backend/cpu/split/contraction.h"
#include "backend/cpu/split/scratch.h"

namespace trireme::cpu::split {
namespace {

// Measured (bench_ops, beside library/...): below, splitting the weights takes longer than the products save.
constexpr int64_t rows_worth_splitting = 32;
constexpr int64_t least_extent = 48;
constexpr int64_t few_rows = 128;

// The right operand [rows, columns]: `w` as it lies, or its transpose.
struct Right {
  void* const* w;
  int64_t rows, columns;
  bool transposed;  // w lies as [columns, rows]

  // Of 32 rows of w as it lies.
  void pack(int64_t index, PanelBuffer& panels) const {
    int64_t first = index * block;
    if (transposed) {
      pack_columns(first, std::min(block, columns - first), panels.at(index));
    } else {
      pack_panels(read(w) + first * columns, std::min(block, rows - first), columns, columns, block * columns,
                  panels.at(0, index), nullptr);
    }
  }
  void pack_columns(int64_t column, int64_t count, Panels to) const {
    if (transposed) {
      pack_panels_transposed(read(w) + column * rows, rows, count, rows, to);
    } else {
      pack_panels(read(w) + column, rows, count, columns, block * columns, to, nullptr);
    }
  }
  int64_t parts() const { return blocks_of(transposed ? columns : rows); }
};

// y [rows, right.columns] = x [rows, right.rows] times `right`, plus a bias, with relu if asked, for so few
// rows that packed weights would not be used often enough to be worth keeping: each panel is packed into
// scratch, meets all rows there and is forgotten, so that the weights are read once and nothing is written.
Kernel bind_product_of_few_rows(const Binding& b, int64_t rows, void* const* x, const Right& right,
                                void* const* bias, bool relu, void* const* y) {
  auto left = std::make_shared<PlaneBuffer>(rows, right.rows);
  auto panels = std::make_shared<std::vector<PanelBuffer>>();
  for (int i = 0; i < b.threads; ++i) panels->emplace_back(right.rows, block);
  return [=, threads = b.threads](const StepScalars&) {
    for_each_part(threads, rows, block, [&](int64_t row, int64_t end) {
      split_rows(read(x) + row * right.rows, end - row, right.rows, right.rows, left->at(row));
    });
    for_each_part(threads, right.columns, block, [&](int64_t column, int64_t end) {
      PanelBuffer& mine = (*panels)[static_cast<size_t>(this_thread())];
      right.pack_columns(column, end - column, mine.at());
      multiply(Tiles(), {.a = left->at().values,
                         .a_plane = left->plane,
                         .a_stride = left->stride,
                         .a_offsets = nullptr,
                         .panel_offsets = nullptr,
                         .steps = mine.steps,
                         .panels = mine.at().values,
                         .panel_stride = mine.stride,
                         .rows = rows,
                         .columns = end - column,
                         .c = write(y) + column,
                         .c_stride = right.columns,
                         .accumulate = false,
                         .bias = bias == nullptr ? nullptr : read(bias) + column,
                         .relu = relu});
    });
  };
}

// y [rows, right.columns] = x [rows, right.rows] times `right`, plus a bias, with relu if asked. The right
// operand is packed when parameters have changed, or at every call if it is not made of parameters alone.
Kernel bind_product(const Binding& b, int64_t rows, void* const* x, const Right& right, bool learned,
                    void* const* bias, bool relu, void* const* y) {
  if (rows <= few_rows) return bind_product_of_few_rows(b, rows, x, right, bias, relu, y);
  int64_t part = rows_per_part(right.rows);
  auto panels = std::make_shared<PanelBuffer>(right.rows, right.columns);
  auto left = std::make_shared<std::vector<PlaneBuffer>>();
  for (int i = 0; i < b.threads; ++i) left->emplace_back(part, right.rows);
  auto packed_version = std::make_shared<uint64_t>(0);
  return [=, threads = b.threads, current = b.parameter_version](const StepScalars&) {
    if (!learned || *packed_version != *current) {
      for_each_index(threads, right.parts(), [&](int64_t i) { right.pack(i, *panels); });
      *packed_version = *current;
    }
    for_each_part(threads, rows, part, [&](int64_t row, int64_t end) {
      PlaneBuffer& mine = (*left)[static_cast<size_t>(this_thread())];
      split_rows(read(x) + row * right.rows, end - row, right.rows, right.rows, mine.at());
      multiply(Tiles(), {.a = mine.at().values,
                         .a_plane = mine.plane,
                         .a_stride = mine.stride,
                         .a_offsets = nullptr,
                         .panel_offsets = nullptr,
                         .steps = panels->steps,
                         .panels = panels->at().values,
                         .panel_stride = panels->stride,
                         .rows = end - row,
                         .columns = right.columns,
                         .c = write(y) + row * right.columns,
                         .c_stride = right.columns,
                         .accumulate = false,
                         .bias = bias == nullptr ? nullptr : read(bias),
                         .relu = relu});
    });
  };
}

}  // namespace

bool takes_linear(const Binding& b, int64_t rows, int64_t in, int64_t out) {
  return b.matrix_units && kernel_type(b.graph, b.node) == DType::float32 && rows >= rows_worth_splitting &&
         std::min(in, out) >= least_extent;
}

Kernel bind_linear(const Binding& b) {
  const Shape &x = b.input_shape(0), &y = b.output_shape(0);
  Right right{b.input(1), x.back(), y.back(), b.integer("transposed") != 0};
  return bind_product(b, x.elements() / x.back(), b.input(0), right, is_learned(b.graph, b.node.inputs[1]),
                      b.has_input(2) ? b.input(2) : nullptr, b.integer("relu") != 0, b.output(0));
}

Kernel bind_linear_backward_data(const Binding& b) {
  const Shape &dy = b.input_shape(0), &dx = b.output_shape(0);
  Right right{b.input(1), dy.back(), dx.back(), b.integer("transposed") == 0};
  return bind_product(b, dy.elements() / dy.back(), b.input(0), right, is_learned(b.graph, b.node.inputs[1]),
                      nullptr, false, b.output(0));
}

// dw = x^T dy; transposed weights swap the two. The bias's gradient is summed up while dy is packed.
Kernel bind_linear_backward_weights(const Binding& b) {
  const Shape &dy = b.input_shape(0), &x = b.input_shape(1);
  bool transposed = b.integer("transposed") != 0;  // and then without a bias (takes_linear)
  void* const* left = transposed ? b.input(0) : b.input(1);
  void* const* right = transposed ? b.input(1) : b.input(0);
  int64_t rows = x.elements() / x.back(), height = transposed ? dy.back() : x.back(),
          width = transposed ? x.back() : dy.back();
  void* const* bias = b.has_output(1) ? b.output(1) : nullptr;
  auto product = std::make_shared<Contraction>(b.threads, rows, height, width, bias != nullptr);
  return [=, dw = b.output(0)](const StepScalars&) {
    product->run(read(left), read(right), write(dw), bias == nullptr ? nullptr : write(bias));
  };
}

}  // namespace trireme::cpu::split
