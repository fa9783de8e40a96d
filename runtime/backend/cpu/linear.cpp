// Matrix products by oneDNN's inner product. float32 weights are taken as they lie in the arena: measured,
// packing costs more than it gains where they change at every step. bfloat16 weights are packed for the
// processor's matrix units where there are enough rows to pay for it: measured 3 to 10 times as fast at 1536
// rows.
#include "backend/cpu/split/linear.h"
#include "backend/cpu/packing.h"

namespace trireme::cpu {
namespace {

using Inner = dnnl::inner_product_forward;

constexpr int64_t rows_worth_packing = 256;

struct Descs {
  Desc x, w, bias, y;
  Desc w_wanted;  // packed, or w
  Desc dw;        // float32 whatever the activations are
};

// Of x [..., in] and y [..., out].
bool takes_split(const Binding& b, const Shape& x, const Shape& y) {
  return split::takes_linear(b, x.elements() / x.back(), x.back(), y.back());
}

// Leading axes are rows; transposed weights [outputs, inputs] are the library's own order.
Descs describe(const Binding& b, const Shape& x, const Shape& y) {
  int64_t rows = x.elements() / x.back(), in = x.back(), out = y.back();
  Tag weights = b.integer("transposed") != 0 ? Tag::ab : Tag::ba;
  DType type = kernel_type(b.graph, b.node);
  bool packs = type == DType::bfloat16 && rows >= rows_worth_packing && is_learned(b.graph, b.node.inputs[1]);
  return {typed_desc(type, {rows, in}, Tag::ab),
          typed_desc(type, {out, in}, weights),
          float_desc({out}, Tag::a),
          typed_desc(type, {rows, out}, Tag::ab),
          typed_desc(type, {out, in}, packs ? Tag::any : weights),
          float_desc({out, in}, weights)};
}

Inner::primitive_desc forward_desc(const Binding& b, const Descs& d, bool bias, bool relu) {
  auto kind = dnnl::prop_kind::forward_training;
  Inner::desc desc =
      bias ? Inner::desc(kind, d.x, d.w_wanted, d.bias, d.y) : Inner::desc(kind, d.x, d.w_wanted, d.y);
  return {desc, relu_attributes(relu), b.library.engine};
}

}  // namespace

Kernel bind_linear(const Binding& b) {
  if (takes_split(b, b.input_shape(0), b.output_shape(0))) return split::bind_linear(b);
  Descs d = describe(b, b.input_shape(0), b.output_shape(0));
  bool bias = b.has_input(2);
  Inner::primitive_desc desc = forward_desc(b, d, bias, b.integer("relu") != 0);
  auto bound = std::make_shared<BoundPrimitive>(b.library, Inner(desc));
  bound->bind(DNNL_ARG_SRC, d.x, b.input(0));
  if (bias) bound->bind(DNNL_ARG_BIAS, d.bias, b.input(2));
  bound->bind(DNNL_ARG_DST, d.y, b.output(0));
  return with_packed_weights(b, bound, d.w, desc.weights_desc(), b.input(1));
}

Kernel bind_linear_backward_data(const Binding& b) {
  if (takes_split(b, b.output_shape(0), b.input_shape(0))) return split::bind_linear_backward_data(b);
  using Backward = dnnl::inner_product_backward_data;
  Descs d = describe(b, b.output_shape(0), b.input_shape(0));
  Backward::primitive_desc desc({d.x, d.w_wanted, d.y}, b.library.engine, forward_desc(b, d, false, false));
  auto bound = std::make_shared<BoundPrimitive>(b.library, Backward(desc));
  bound->bind(DNNL_ARG_DIFF_DST, d.y, b.input(0));
  bound->bind(DNNL_ARG_DIFF_SRC, d.x, b.output(0));
  return with_packed_weights(b, bound, d.w, desc.weights_desc(), b.input(1));
}

Kernel bind_linear_backward_weights(const Binding& b) {
  bool transposed_with_bias = b.integer("transposed") != 0 && b.has_output(1);
  if (takes_split(b, b.input_shape(1), b.input_shape(0)) && !transposed_with_bias) {
    return split::bind_linear_backward_weights(b);
  }
  using Backward = dnnl::inner_product_backward_weights;
  Descs d = describe(b, b.input_shape(1), b.input_shape(0));
  d.w_wanted = d.w;
  bool bias = b.has_output(1);
  Backward::desc op = bias ? Backward::desc(d.x, d.dw, d.bias, d.y) : Backward::desc(d.x, d.dw, d.y);
  Backward::primitive_desc desc(op, b.library.engine, forward_desc(b, d, bias, false));
  auto bound = std::make_shared<BoundPrimitive>(b.library, Backward(desc));
  bound->bind(DNNL_ARG_DIFF_DST, d.y, b.input(0));
  bound->bind(DNNL_ARG_SRC, d.x, b.input(1));
  bound->bind(DNNL_ARG_DIFF_WEIGHTS, d.dw, b.output(0));
  if (bias) bound->bind(DNNL_ARG_DIFF_BIAS, d.bias, b.output(1));
  return [bound](const StepScalars&) { bound->execute(); };
}

}  // namespace trireme::cpu
