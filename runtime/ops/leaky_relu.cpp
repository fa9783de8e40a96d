// Leaky relu (Maas et al., "Rectifier nonlinearities improve neural network acoustic models", 2013). Its
// gradient needs the sign of the output only, which is that of x, so that x may be overwritten.
#include "ops/ops.h"
#include "ops/references.h"
#include "ops/rules.h"

namespace trireme {
namespace {

std::vector<TensorType> forward_shape(InputTypes inputs, const Attributes& attributes) {
  real_within(attributes, "slope", 0.0, 1.0);
  return {activation_input(inputs, 0, "x[...]", any_rank)};
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& dy = activation_input(inputs, 0, "dy[...]", any_rank);
  expect_input(inputs, 1, "y[...]", dy);
  real_within(attributes, "slope", 0.0, 1.0);
  return {dy};
}

// out = value where sign > 0, else slope * value. Forward both are x; backward dy and y.
template <class T>
void scale_by_sign(const KernelCall& call, const T* value, const T* sign) {
  double slope = call.node.attributes.real("slope");
  T* out = call.output<T>(0);
  for (int64_t i = 0; i < call.output_shape(0).elements(); ++i) {
    out[i] = double(sign[i]) > 0 ? value[i] : narrow<T>(slope * double(value[i]));
  }
}

Op row() {
  Op op;
  op.attributes = {{"slope", 0.01, "factor of negative x, in [0, 1)"}};
  op.flops = output_elements;
  op.precision = Precision::follow;
  op.in_place_input = 0;
  return op;
}

}  // namespace

Op leaky_relu_op() {
  Op op = row();
  op.name = "leaky_relu";
  op.doc = "y = x where x > 0, else slope x";
  op.inputs = {"x[...]"};
  op.outputs = {"y[...]"};
  op.shape = forward_shape;
  op.gradient = [](GraphWriter& writer, Node node, ValueId dy) {
    return std::vector<ValueId>{
        writer.add_one("leaky_relu_backward", {dy, node.outputs[0]}, node.attributes)};
  };
  set_references(op, []<class T>(const KernelCall& call) {
    scale_by_sign<T>(call, call.input<T>(0), call.input<T>(0));
  });
  op.half_inputs = {0};
  op.samples = {{.inputs = {{3, 7}}}, {.inputs = {{2, 3, 5, 4}}, .attributes = {{"slope", 0.2}}}};
  return op;
}

Op leaky_relu_backward_op() {
  Op op = row();
  op.name = "leaky_relu_backward";
  op.doc = "dx = dy where y > 0, else slope dy";
  op.inputs = {"dy[...]", "y[...]"};
  op.outputs = {"dx[...]"};
  op.required_inputs = op.max_inputs = 2;
  op.shape = backward_shape;
  set_references(op, []<class T>(const KernelCall& call) {
    scale_by_sign<T>(call, call.input<T>(0), call.input<T>(1));
  });
  op.half_inputs = {0, 1};
  op.samples = {{.inputs = {{3, 7}, {3, 7}}},
                {.inputs = {{2, 3, 5, 4}, {2, 3, 5, 4}}, .attributes = {{"slope", 0.2}}}};
  return op;
}

}  // namespace trireme
