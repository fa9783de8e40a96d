// One row a sample: the same bytes under another shape. Planners let output and input share memory; the
// kernel copies when they do not.
#include <cstring>

#include "base/error.h"
#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

std::vector<TensorType> flatten_shape(InputTypes inputs, const Attributes&) {
  const TensorType& x = activation_input(inputs, 0, "x[N, ...]", any_rank);
  if (x.shape.rank() != 2 && x.shape.rank() != 4) {
    throw GraphError("input 0 (x[N, ...]) must have 2 or 4 axes, got {}", describe(x));
  }
  return {{x.dtype, {x.shape[0], x.shape.elements() / x.shape[0]}}};
}

std::vector<ValueId> flatten_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  Shape x = writer.graph().shape(node.inputs[0]);
  if (x.rank() == 2) return {output_gradient};
  return {writer.add_one("flatten_backward", {output_gradient},
                         {{"height", x[1]}, {"width", x[2]}, {"channels", x[3]}})};
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& dy = activation_input(inputs, 0, "dy[N, P]", 2);
  Shape x = {dy.shape[0], integer_of_at_least(attributes, "height", 1),
             integer_of_at_least(attributes, "width", 1), integer_of_at_least(attributes, "channels", 1)};
  if (x.elements() != dy.shape.elements()) {
    throw GraphError("input 0 (dy[N, P]) is {}, which does not fill {}", describe(dy), x.to_string());
  }
  return {{dy.dtype, x}};
}

void copy_reference(const KernelCall& call) {
  if (call.inputs[0] == call.outputs[0]) return;
  std::memcpy(call.outputs[0], call.inputs[0], call.graph.value(call.node.outputs[0]).type.bytes());
}

}  // namespace

Op flatten_op() {
  Op op;
  op.name = "flatten";
  op.doc = "y = x with all axes but the first joined into one of P = H W C; moves nothing";
  op.inputs = {"x[N, ...]"};
  op.outputs = {"y[N, P]"};
  op.shape = flatten_shape;
  op.flops = no_flops;
  op.gradient = flatten_gradient;
  op.reference_float = op.reference_double = copy_reference;
  op.reference_bfloat16 = op.reference_float16 = copy_reference;
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.is_view = true;
  op.samples = {{.inputs = {{3, 2, 5, 7}}}, {.inputs = {{3, 4}}}};
  return op;
}

Op flatten_backward_op() {
  Op op;
  op.name = "flatten_backward";
  op.doc = "dx = dy under the shape of flatten's input; moves nothing";
  op.inputs = {"dy[N, P]"};
  op.outputs = {"dx[N, H, W, C]"};
  op.attributes = {{"height", int64_t{0}, "of x; must be given"},
                   {"width", int64_t{0}, "of x; must be given"},
                   {"channels", int64_t{0}, "of x; must be given"}};
  op.shape = backward_shape;
  op.flops = no_flops;
  op.reference_float = op.reference_double = copy_reference;
  op.reference_bfloat16 = op.reference_float16 = copy_reference;
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.is_view = true;
  op.samples = {{.inputs = {{3, 70}},
                 .attributes = {{"height", int64_t{2}}, {"width", int64_t{5}}, {"channels", int64_t{7}}}}};
  return op;
}

}  // namespace trireme
