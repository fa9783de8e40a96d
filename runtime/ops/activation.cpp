// Elementwise activations. Their gradients need the output y only, so that x may be overwritten.
#include <cmath>

#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

// An activation as a pair of functions: y of x, and the slope dy/dx written by y.
struct Relu {
  static constexpr double flops = 1, backward_flops = 2;
  static double value(double x) { return x > 0 ? x : 0; }
  static double slope(double y) { return y > 0 ? 1 : 0; }
};

struct Tanh {
  static constexpr double flops = 1, backward_flops = 3;
  static double value(double x) { return std::tanh(x); }
  static double slope(double y) { return 1 - y * y; }
};

struct Sigmoid {
  static constexpr double flops = 3, backward_flops = 3;
  static double value(double x) { return 1 / (1 + std::exp(-x)); }
  static double slope(double y) { return y * (1 - y); }
};

template <class F, class T>
void forward_reference(const KernelCall& call) {
  const T* x = call.input<T>(0);
  T* y = call.output<T>(0);
  for (int64_t i = 0; i < call.output_shape(0).elements(); ++i) y[i] = static_cast<T>(F::value(x[i]));
}

template <class F, class T>
void backward_reference(const KernelCall& call) {
  const T* dy = call.input<T>(0);
  const T* y = call.input<T>(1);
  T* dx = call.output<T>(0);
  for (int64_t i = 0; i < call.output_shape(0).elements(); ++i)
    dx[i] = static_cast<T>(dy[i] * F::slope(y[i]));
}

std::vector<TensorType> forward_shape(InputTypes inputs, const Attributes&) {
  return {activation_input(inputs, 0, "x[...]", any_rank)};
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes&) {
  const TensorType& dy = activation_input(inputs, 0, "dy[...]", any_rank);
  expect_input(inputs, 1, "y[...]", dy);
  return {dy};
}

template <class F>
Op forward_op(std::string name, std::string doc, GradientRule gradient) {
  Op op;
  op.name = std::move(name);
  op.doc = std::move(doc);
  op.inputs = {"x[...]"};
  op.outputs = {"y[...]"};
  op.shape = forward_shape;
  op.flops = [](const Graph& graph, const Node& node) { return F::flops * output_elements(graph, node); };
  op.gradient = gradient;
  op.reference_float = forward_reference<F, float>;
  op.reference_double = forward_reference<F, double>;
  op.reference_bfloat16 = forward_reference<F, BFloat16>;
  op.reference_float16 = forward_reference<F, Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.in_place_input = 0;
  op.samples = {{.inputs = {{3, 7}}}, {.inputs = {{2, 3, 5, 4}}}};
  return op;
}

template <class F>
Op backward_op(std::string name, std::string doc) {
  Op op;
  op.name = std::move(name);
  op.doc = std::move(doc);
  op.inputs = {"dy[...]", "y[...]"};
  op.outputs = {"dx[...]"};
  op.required_inputs = op.max_inputs = 2;
  op.shape = backward_shape;
  op.flops = [](const Graph& graph, const Node& node) {
    return F::backward_flops * output_elements(graph, node);
  };
  op.reference_float = backward_reference<F, float>;
  op.reference_double = backward_reference<F, double>;
  op.reference_bfloat16 = backward_reference<F, BFloat16>;
  op.reference_float16 = backward_reference<F, Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0, 1};
  op.in_place_input = 0;
  op.samples = {{.inputs = {{3, 7}, {3, 7}}}, {.inputs = {{2, 3, 5, 4}, {2, 3, 5, 4}}}};
  return op;
}

}  // namespace

Op relu_op() {
  return forward_op<Relu>("relu", "y = max(0, x)", [](GraphWriter& writer, Node node, ValueId dy) {
    return std::vector<ValueId>{writer.add_one("relu_backward", {dy, node.outputs[0]})};
  });
}

Op relu_backward_op() { return backward_op<Relu>("relu_backward", "dx = dy where y > 0, else 0"); }

Op tanh_op() {
  return forward_op<Tanh>("tanh", "y = tanh(x)", [](GraphWriter& writer, Node node, ValueId dy) {
    return std::vector<ValueId>{writer.add_one("tanh_backward", {dy, node.outputs[0]})};
  });
}

Op tanh_backward_op() { return backward_op<Tanh>("tanh_backward", "dx = dy (1 - y^2)"); }

Op sigmoid_op() {
  return forward_op<Sigmoid>(
      "sigmoid", "y = 1 / (1 + exp(-x))", [](GraphWriter& writer, Node node, ValueId dy) {
        return std::vector<ValueId>{writer.add_one("sigmoid_backward", {dy, node.outputs[0]})};
      });
}

Op sigmoid_backward_op() { return backward_op<Sigmoid>("sigmoid_backward", "dx = dy y (1 - y)"); }

}  // namespace trireme
