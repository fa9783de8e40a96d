// Loss scaling (Micikevicius et al., "Mixed precision training", arXiv 1710.03740, section 3.2): gradients
// that would vanish in float16 are carried multiplied by StepScalars::loss_scale. The precision pass puts
// this node before every loss, so that losses know nothing of it; whoever updates divides by the scale again.
#include <cstring>

#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

std::vector<TensorType> same_shape(InputTypes inputs, const Attributes&) {
  return {floating_input(inputs, 0, "x[...]", any_rank)};
}

std::vector<ValueId> scale_gradient_rule(GraphWriter& writer, Node, ValueId output_gradient) {
  return {writer.add_one("scale_gradient_backward", {output_gradient})};
}

void copy_reference(const KernelCall& call) {
  if (call.inputs[0] == call.outputs[0]) return;
  std::memcpy(call.outputs[0], call.inputs[0], call.graph.value(call.node.outputs[0]).type.bytes());
}

template <class T>
void backward_reference(const KernelCall& call) {
  const T* dy = call.input<T>(0);
  T* dx = call.output<T>(0);
  auto scale = static_cast<T>(call.scalars.loss_scale);
  for (int64_t i = 0; i < call.output_shape(0).elements(); ++i) dx[i] = dy[i] * scale;
}

}  // namespace

Op scale_gradient_op() {
  Op op;
  op.name = "scale_gradient";
  op.doc = "y = x, whose gradient is multiplied by the step's loss_scale; moves nothing";
  op.inputs = {"x[...]"};
  op.outputs = {"y[...]"};
  op.shape = same_shape;
  op.flops = no_flops;
  op.gradient = scale_gradient_rule;
  op.reference_float = op.reference_double = copy_reference;
  op.is_view = true;
  op.samples = {{.inputs = {{3, 7}}}};
  return op;
}

Op scale_gradient_backward_op() {
  Op op;
  op.name = "scale_gradient_backward";
  op.doc = "dx = dy * loss_scale";
  op.inputs = {"dy[...]"};
  op.outputs = {"dx[...]"};
  op.shape = same_shape;
  op.flops = output_elements;
  op.reference_float = backward_reference<float>;
  op.reference_double = backward_reference<double>;
  op.in_place_input = 0;
  op.samples = {{.inputs = {{3, 7}}}, {.inputs = {{2, 3, 5, 4}}}};
  return op;
}

}  // namespace trireme
