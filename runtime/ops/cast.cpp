// The same values in another floating-point type, rounded to nearest even. The precision pass writes these
// nodes; builders have no need of them.
#include "base/error.h"
#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

DType cast_type(const Attributes& attributes) {
  auto type = static_cast<DType>(integer_of_at_least(attributes, "to", 0));
  if (!is_floating(type)) {
    throw GraphError("attribute 'to' = {} names no floating-point type", attributes.integer("to"));
  }
  return type;
}

std::vector<TensorType> cast_shape(InputTypes inputs, const Attributes& attributes) {
  return {{cast_type(attributes), activation_input(inputs, 0, "x[...]", any_rank).shape}};
}

// A gradient may be of x's type already: that of a parameter is float32 whatever the type it was used in.
std::vector<ValueId> cast_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  DType type = writer.graph().value(node.inputs[0]).type.dtype;
  if (writer.graph().value(output_gradient).type.dtype == type) return {output_gradient};
  return {writer.add_one("cast", {output_gradient}, {{"to", static_cast<int64_t>(type)}})};
}

template <class From, class To>
void convert(const KernelCall& call) {
  const From* x = call.input<From>(0);
  To* y = call.output<To>(0);
  for (int64_t i = 0; i < call.output_shape(0).elements(); ++i) y[i] = static_cast<To>(x[i]);
}

template <class From>
void cast_reference(const KernelCall& call) {
  switch (cast_type(call.node.attributes)) {
    case DType::float64:
      return convert<From, double>(call);
    case DType::bfloat16:
      return convert<From, BFloat16>(call);
    case DType::float16:
      return convert<From, Float16>(call);
    default:
      return convert<From, float>(call);
  }
}

}  // namespace

Op cast_op() {
  Op op;
  op.name = "cast";
  op.doc = "y = x in the floating-point type `to`, rounded to nearest even";
  op.inputs = {"x[...]"};
  op.outputs = {"y[...]"};
  op.attributes = {{"to", int64_t{0},
                    "the type's place in DType (base/dtype.h): 0 float32, 1 float64, 5 bfloat16, "
                    "6 float16"}};
  op.shape = cast_shape;
  op.flops = output_elements;
  op.gradient = cast_gradient;
  op.reference_float = cast_reference<float>;
  op.reference_double = cast_reference<double>;
  op.reference_bfloat16 = cast_reference<BFloat16>;
  op.reference_float16 = cast_reference<Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.samples = {
      {.inputs = {{3, 7}}, .attributes = {{"to", static_cast<int64_t>(DType::bfloat16)}}},
      {.inputs = {{2, 3, 5, 11}}, .attributes = {{"to", static_cast<int64_t>(DType::float16)}}},
      {.inputs = {{37}}, .attributes = {{"to", static_cast<int64_t>(DType::float32)}}},
  };
  return op;
}

}  // namespace trireme
