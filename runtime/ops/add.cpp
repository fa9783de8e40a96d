// Elementwise sum: residual connections, and gradients of a value that is read more than once.
#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

std::vector<TensorType> add_shape(InputTypes inputs, const Attributes&) {
  const TensorType& a = activation_input(inputs, 0, "a[...]", any_rank);
  expect_input(inputs, 1, "b[...]", a);
  return {a};
}

std::vector<ValueId> add_gradient(GraphWriter&, Node, ValueId output_gradient) {
  return {output_gradient, output_gradient};
}

template <class T>
void add_reference(const KernelCall& call) {
  const T* a = call.input<T>(0);
  const T* b = call.input<T>(1);
  T* y = call.output<T>(0);
  for (int64_t i = 0; i < call.output_shape(0).elements(); ++i) y[i] = a[i] + b[i];
}

}  // namespace

Op add_op() {
  Op op;
  op.name = "add";
  op.doc = "y = a + b, of the same shape";
  op.inputs = {"a[...]", "b[...]"};
  op.outputs = {"y[...]"};
  op.required_inputs = op.max_inputs = 2;
  op.shape = add_shape;
  op.flops = output_elements;
  op.gradient = add_gradient;
  op.reference_float = add_reference<float>;
  op.reference_double = add_reference<double>;
  op.reference_bfloat16 = add_reference<BFloat16>;
  op.reference_float16 = add_reference<Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0, 1};
  op.in_place_input = 0;
  op.samples = {{.inputs = {{3, 7}, {3, 7}}}, {.inputs = {{2, 3, 5, 4}, {2, 3, 5, 4}}}};
  return op;
}

}  // namespace trireme
