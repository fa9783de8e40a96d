// Matrix products by oneDNN's inner product. Weights [inputs, outputs] are taken as they lie in the arena:
// measured, packing costs more than it gains where they change at every step.
#include "backend/cpu/binder.h"

namespace trireme::cpu {
namespace {

using Inner = dnnl::inner_product_forward;

struct Descs {
  Desc x, w, bias, y;
};

// Leading axes are rows; transposed weights [outputs, inputs] are the library's own order.
Descs describe(const Binding& b, const Shape& x, const Shape& y) {
  int64_t rows = x.elements() / x.back(), in = x.back(), out = y.back();
  Tag weights = b.integer("transposed") != 0 ? Tag::ab : Tag::ba;
  return {float_desc({rows, in}, Tag::ab), float_desc({out, in}, weights), float_desc({out}, Tag::a),
          float_desc({rows, out}, Tag::ab)};
}

Inner::primitive_desc forward_desc(const Binding& b, const Descs& d, bool bias, bool relu) {
  auto kind = dnnl::prop_kind::forward_training;
  Inner::desc desc = bias ? Inner::desc(kind, d.x, d.w, d.bias, d.y) : Inner::desc(kind, d.x, d.w, d.y);
  return {desc, relu_attributes(relu), b.library.engine};
}

}  // namespace

Kernel bind_linear(const Binding& b) {
  Descs d = describe(b, b.input_shape(0), b.output_shape(0));
  bool bias = b.has_input(2);
  auto bound =
      std::make_shared<BoundPrimitive>(b.library, Inner(forward_desc(b, d, bias, b.integer("relu") != 0)));
  bound->bind(DNNL_ARG_SRC, d.x, b.input(0));
  bound->bind(DNNL_ARG_WEIGHTS, d.w, b.input(1));
  if (bias) bound->bind(DNNL_ARG_BIAS, d.bias, b.input(2));
  bound->bind(DNNL_ARG_DST, d.y, b.output(0));
  return [bound](const StepScalars&) { bound->execute(); };
}

Kernel bind_linear_backward_data(const Binding& b) {
  using Backward = dnnl::inner_product_backward_data;
  Descs d = describe(b, b.output_shape(0), b.input_shape(0));
  Backward::primitive_desc desc({d.x, d.w, d.y}, b.library.engine, forward_desc(b, d, false, false));
  auto bound = std::make_shared<BoundPrimitive>(b.library, Backward(desc));
  bound->bind(DNNL_ARG_DIFF_DST, d.y, b.input(0));
  bound->bind(DNNL_ARG_WEIGHTS, d.w, b.input(1));
  bound->bind(DNNL_ARG_DIFF_SRC, d.x, b.output(0));
  return [bound](const StepScalars&) { bound->execute(); };
}

Kernel bind_linear_backward_weights(const Binding& b) {
  using Backward = dnnl::inner_product_backward_weights;
  Descs d = describe(b, b.input_shape(1), b.input_shape(0));
  bool bias = b.has_output(1);
  Backward::desc op = bias ? Backward::desc(d.x, d.w, d.bias, d.y) : Backward::desc(d.x, d.w, d.y);
  Backward::primitive_desc desc(op, b.library.engine, forward_desc(b, d, bias, false));
  auto bound = std::make_shared<BoundPrimitive>(b.library, Backward(desc));
  bound->bind(DNNL_ARG_DIFF_DST, d.y, b.input(0));
  bound->bind(DNNL_ARG_SRC, d.x, b.input(1));
  bound->bind(DNNL_ARG_DIFF_WEIGHTS, d.w, b.output(0));
  if (bias) bound->bind(DNNL_ARG_DIFF_BIAS, d.bias, b.output(1));
  return [bound](const StepScalars&) { bound->execute(); };
}

}  // namespace trireme::cpu
