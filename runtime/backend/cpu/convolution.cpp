// Convolutions by oneDNN: activations channels-last as they lie, weights [kernel height, kernel width,
// inputs, outputs] packed into the library's own layout, whose memory is made once, at bind, and refreshed
// when the parameters have changed.
#include "backend/cpu/binder.h"

namespace trireme::cpu {
namespace {

using Forward = dnnl::convolution_forward;
constexpr auto direct = dnnl::algorithm::convolution_direct;

struct Descs {
  Desc x, w_any, w_arena, bias, y;
  dnnl::memory::dims stride, padding;
};

// x [N, H, W, C], w [KH, KW, C, O], y [N, OH, OW, O]
Descs describe(const Binding& b, const Shape& x, const Shape& w, const Shape& y) {
  dnnl::memory::dims weights{w[3], w[2], w[0], w[1]};
  int64_t stride = b.integer("stride");
  int64_t padding = b.integer("padding");
  return {float_desc({x[0], x[3], x[1], x[2]}, Tag::nhwc),
          float_desc(weights, Tag::any),
          float_desc(weights, Tag::hwio),
          float_desc({w[3]}, Tag::a),
          float_desc({y[0], y[3], y[1], y[2]}, Tag::nhwc),
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

// A copy between the arena's weight layout and the library's, in either direction.
std::shared_ptr<BoundPrimitive> make_reorder(const Binding& b, const Desc& arena, void* const* slot,
                                             const dnnl::memory& packed, bool to_packed) {
  Desc from = to_packed ? arena : packed.get_desc();
  Desc to = to_packed ? packed.get_desc() : arena;
  dnnl::reorder::primitive_desc desc(b.library.engine, from, b.library.engine, to);
  auto bound = std::make_shared<BoundPrimitive>(b.library, dnnl::reorder(desc));
  if (to_packed) {
    bound->bind(DNNL_ARG_FROM, arena, slot);
    bound->bind(DNNL_ARG_TO, packed);
  } else {
    bound->bind(DNNL_ARG_FROM, packed);
    bound->bind(DNNL_ARG_TO, arena, slot);
  }
  return bound;
}

// Binds the weights of `bound`; the kernel packs them first when they have changed since it last did.
Kernel with_packed_weights(const Binding& b, std::shared_ptr<BoundPrimitive> bound, const Desc& arena,
                           const Desc& wanted, void* const* slot) {
  if (wanted == arena) {
    bound->bind(DNNL_ARG_WEIGHTS, arena, slot);
    return [bound](const StepScalars&) { bound->execute(); };
  }
  dnnl::memory packed(wanted, b.library.engine);
  bound->bind(DNNL_ARG_WEIGHTS, packed);
  auto pack = make_reorder(b, arena, slot, packed, true);
  auto packed_version = std::make_shared<uint64_t>(0);
  return [bound, pack, packed_version, current = b.parameter_version](const StepScalars&) {
    if (*packed_version != *current) {
      pack->execute();
      *packed_version = *current;
    }
    bound->execute();
  };
}

}  // namespace

Kernel bind_convolution(const Binding& b) {
  Descs d = describe(b, b.input_shape(0), b.input_shape(1), b.output_shape(0));
  bool bias = b.has_input(2);
  Forward::primitive_desc desc = forward_desc(b, d, bias, b.integer("relu") != 0);
  auto bound = std::make_shared<BoundPrimitive>(b.library, Forward(desc));
  bound->bind(DNNL_ARG_SRC, d.x, b.input(0));
  if (bias) bound->bind(DNNL_ARG_BIAS, d.bias, b.input(2));
  bound->bind(DNNL_ARG_DST, d.y, b.output(0));
  return with_packed_weights(b, bound, d.w_arena, desc.weights_desc(), b.input(1));
}

Kernel bind_convolution_backward_data(const Binding& b) {
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
  using Backward = dnnl::convolution_backward_weights;
  Descs d = describe(b, b.input_shape(1), b.output_shape(0), b.input_shape(0));
  bool bias = b.has_output(1);
  Backward::desc op = bias ? Backward::desc(direct, d.x, d.w_any, d.bias, d.y, d.stride, d.padding, d.padding)
                           : Backward::desc(direct, d.x, d.w_any, d.y, d.stride, d.padding, d.padding);
  Backward::primitive_desc desc(op, b.library.engine, forward_desc(b, d, bias, false));
  auto bound = std::make_shared<BoundPrimitive>(b.library, Backward(desc));
  bound->bind(DNNL_ARG_DIFF_DST, d.y, b.input(0));
  bound->bind(DNNL_ARG_SRC, d.x, b.input(1));
  if (bias) bound->bind(DNNL_ARG_DIFF_BIAS, d.bias, b.output(1));
  if (desc.diff_weights_desc() == d.w_arena) {
    bound->bind(DNNL_ARG_DIFF_WEIGHTS, d.w_arena, b.output(0));
    return [bound](const StepScalars&) { bound->execute(); };
  }
  dnnl::memory packed(desc.diff_weights_desc(), b.library.engine);
  bound->bind(DNNL_ARG_DIFF_WEIGHTS, packed);
  auto unpack = make_reorder(b, d.w_arena, b.output(0), packed, false);
  return [bound, unpack](const StepScalars&) {
    bound->execute();
    unpack->execute();
  };
}

}  // namespace trireme::cpu
