// Inverted dropout (Srivastava et al., "Dropout", 2014): kept values are scaled by 1 / (1 - rate).
#include "ops/dropout.h"

#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

std::vector<TensorType> dropout_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& x = activation_input(inputs, 0, "x[N, ...]", any_rank);
  real_within(attributes, "rate", 0.0, 1.0);
  integer_of_at_least(attributes, "layer", 0);
  return {x};
}

std::vector<ValueId> dropout_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  return {writer.add_one("dropout_backward", {output_gradient}, node.attributes)};
}

// Both directions: the op is linear in its input.
template <class T>
void dropout_reference(const KernelCall& call) {
  int64_t samples = call.output_shape(0)[0], elements = call.output_shape(0).elements() / samples;
  auto layer = static_cast<uint32_t>(call.node.attributes.integer("layer"));
  double rate = call.node.attributes.real("rate");
  auto scale = static_cast<Wide<T>>(1.0 / (1.0 - rate));
  const T* x = call.input<T>(0);
  T* y = call.output<T>(0);
  for (int64_t s = 0; s < samples; ++s) {
    for (int64_t e = 0; e < elements; ++e) {
      int64_t at = s * elements + e;
      bool keeps = dropout_keeps(call.scalars, layer, s, e, static_cast<float>(rate));
      y[at] = keeps ? static_cast<T>(x[at] * scale) : T{0};
    }
  }
}

Op dropout_row() {
  Op op;
  op.attributes = {
      {"rate", 0.5, "probability of dropping an element, in [0, 1)"},
      {"layer", int64_t{0}, "number of the dropout layer in its model, a stream of draws of its own"}};
  op.shape = dropout_shape;
  op.flops = output_elements;
  op.reference_float = dropout_reference<float>;
  op.reference_double = dropout_reference<double>;
  op.reference_bfloat16 = dropout_reference<BFloat16>;
  op.reference_float16 = dropout_reference<Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.in_place_input = 0;
  op.samples = {
      {.inputs = {{3, 7}}},
      {.inputs = {{2, 3, 5, 3}}, .attributes = {{"rate", 0.2}, {"layer", int64_t{3}}}},
      {.inputs = {{2, 5}}, .attributes = {{"rate", 0.0}}},
  };
  return op;
}

}  // namespace

Op dropout_op() {
  Op op = dropout_row();
  op.name = "dropout";
  op.doc = "y = x / (1 - rate) where the element is kept (ops/dropout.h), else 0; no mask is stored";
  op.inputs = {"x[N, ...]"};
  op.outputs = {"y[N, ...]"};
  op.gradient = dropout_gradient;
  return op;
}

Op dropout_backward_op() {
  Op op = dropout_row();
  op.name = "dropout_backward";
  op.doc = "dx = dy / (1 - rate) where dropout kept the element, else 0; draws the same mask anew";
  op.inputs = {"dy[N, ...]"};
  op.outputs = {"dx[N, ...]"};
  return op;
}

}  // namespace trireme
