// Convolutions by oneDNN: activations channels-last as they lie, weights [kernel height, kernel width,
// inputs, outputs] packed into the library's own layout, whose memory is made once, at bind, and refreshed
// when the parameters have changed.
#include "backend/cpu/split/convolution.h"
#include "backend/cpu/few_channels.h"
#include "backend/cpu/packing.h"

namespace trireme::cpu {
namespace {

using Forward = dnnl::convolution_forward;
constexpr auto direct = dnnl::algorithm::convolution_direct;

struct Descs {
  Desc x, w_any, w_arena, bias, y;
  Desc dw_any, dw_arena;  // float32 whatever the activations are
  dnnl::memory::dims stride, padding;
};

// x [N, H, W, C], w [KH, KW, C, O], y [N, OH, OW, O]
Descs describe(const Binding& b, const Shape& x, const Shape& w, const Shape& y) {
  dnnl::memory::dims weights{w[3], w[2], w[0], w[1]};
  int64_t stride = b.integer("stride");
  int64_t padding = b.integer("padding");
  DType type = kernel_type(b.graph, b.node);
  return {typed_desc(type, {x[0], x[3], x[1], x[2]}, Tag::nhwc),
          typed_desc(type, weights, Tag::any),
          typed_desc(type, weights, Tag::hwio),
          float_desc({w[3]}, Tag::a),
          typed_desc(type, {y[0], y[3], y[1], y[2]}, Tag::nhwc),
          float_desc(weights, Tag::any),
          float_desc(weights, Tag::hwio),
          {stride, stride},
          {padding, padding}};
}

Forward::primitive_desc forward_desc(const Binding& b, const Descs& d, bool bias, bool relu) {
  auto kind = dnnl::prop_kind::forward_training;
  Forward::desc desc =
      bias ? Forward::desc(kind, direct, d.x, d.w_any, d.bias, d.y, d.stride, d.padding, d.padding)
           : Forward::desc(kind, direct, d.x, d.w_any, d.y, d.stride, d.padding, d.padding);
  return {desc, relu_attributes(relu), b.library.engine};
}

}  // namespace

Kernel bind_convolution(const Binding& b) {
  if (split::takes_convolution(b, b.input_shape(0), b.input_shape(1))) return split::bind_convolution(b);
  if (takes_few_channels(b)) return bind_few_channels(b);
  Descs d = describe(b, b.input_shape(0), b.input_shape(1), b.output_shape(0));
  bool bias = b.has_input(2);
  Forward::primitive_desc desc = forward_desc(b, d, bias, b.integer("relu") != 0);
  auto bound = std::make_shared<BoundPrimitive>(b.library, Forward(desc));
  bound->bind(DNNL_ARG_SRC, d.x, b.input(0));
  if (bias) bound->bind(DNNL_ARG_BIAS, d.bias, b.input(2));
  bound->bind(DNNL_ARG_DST, d.y, b.output(0));
  return with_packed_weights(b, bound, d.w_arena, desc.weights_desc(), b.input(1));
}

// A transposed convolution without its bias is the same computation with x for dy and y for dx.
Kernel bind_convolution_backward_data(const Binding& b) {
  if (split::takes_convolution(b, b.output_shape(0), b.input_shape(1))) {
    return split::bind_convolution_backward_data(b);
  }
  if (takes_few_channels_backward_data(b)) return bind_few_channels_backward_data(b);
  using Backward = dnnl::convolution_backward_data;
  Descs d = describe(b, b.output_shape(0), b.input_shape(1), b.input_shape(0));
  Backward::desc op(direct, d.x, d.w_any, d.y, d.stride, d.padding, d.padding);
  Backward::primitive_desc desc(op, b.library.engine, forward_desc(b, d, false, false));
  auto bound = std::make_shared<BoundPrimitive>(b.library, Backward(desc));
  bound->bind(DNNL_ARG_DIFF_DST, d.y, b.input(0));
  bound->bind(DNNL_ARG_DIFF_SRC, d.x, b.output(0));
  return with_packed_weights(b, bound, d.w_arena, desc.weights_desc(), b.input(1));
}

Kernel bind_convolution_backward_weights(const Binding& b) {
  if (split::takes_convolution(b, b.input_shape(1), b.output_shape(0))) {
    return split::bind_convolution_backward_weights(b);
  }
  if (takes_few_channels_backward_weights(b)) return bind_few_channels_backward_weights(b);
  using Backward = dnnl::convolution_backward_weights;
  Descs d = describe(b, b.input_shape(1), b.output_shape(0), b.input_shape(0));
  bool bias = b.has_output(1);
  Backward::desc op = bias
                          ? Backward::desc(direct, d.x, d.dw_any, d.bias, d.y, d.stride, d.padding, d.padding)
                          : Backward::desc(direct, d.x, d.dw_any, d.y, d.stride, d.padding, d.padding);
  Backward::primitive_desc desc(op, b.library.engine, forward_desc(b, d, bias, false));
  auto bound = std::make_shared<BoundPrimitive>(b.library, Backward(desc));
  bound->bind(DNNL_ARG_DIFF_DST, d.y, b.input(0));
  bound->bind(DNNL_ARG_SRC, d.x, b.input(1));
  if (bias) bound->bind(DNNL_ARG_DIFF_BIAS, d.bias, b.output(1));
  if (desc.diff_weights_desc() == d.dw_arena) {
    bound->bind(DNNL_ARG_DIFF_WEIGHTS, d.dw_arena, b.output(0));
    return [bound](const StepScalars&) { bound->execute(); };
  }
  dnnl::memory packed(desc.diff_weights_desc(), b.library.engine);
  bound->bind(DNNL_ARG_DIFF_WEIGHTS, packed);
  auto unpack = make_reorder(b, d.dw_arena, b.output(0), packed, false);
  return [bound, unpack](const StepScalars&) {
    bound->execute();
    unpack->execute();
  };
}

}  // namespace trireme::cpu
