// The Gaussian error linear unit (Hendrycks and Gimpel, arXiv 1606.08415): y = x Phi(x), with Phi the normal
// distribution function, exactly by erf or by the paper's tanh approximation. The gradient needs x.
#include <cmath>
#include <numbers>

#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

// The argument of the approximation's tanh: sqrt(2 / pi) (x + 0.044715 x^3).
constexpr double inner_scale = 0.79788456080286535588;
constexpr double cubic = 0.044715;

double value(double x, bool by_tanh) {
  if (by_tanh) return 0.5 * x * (1 + std::tanh(inner_scale * (x + cubic * x * x * x)));
  return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
}

double slope(double x, bool by_tanh) {
  if (by_tanh) {
    double t = std::tanh(inner_scale * (x + cubic * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner_scale * (1 + 3 * cubic * x * x);
  }
  double density = std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
  return 0.5 * std::erfc(-x / std::numbers::sqrt2) + x * density;
}

std::vector<TensorType> gelu_shape(InputTypes inputs, const Attributes& attributes) {
  flag(attributes, "tanh");
  return {activation_input(inputs, 0, "x[...]", any_rank)};
}

std::vector<ValueId> gelu_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  return {writer.add_one("gelu_backward", {output_gradient, node.inputs[0]}, node.attributes)};
}

template <class T>
void gelu_reference(const KernelCall& call) {
  const T* x = call.input<T>(0);
  T* y = call.output<T>(0);
  bool by_tanh = flag(call.node.attributes, "tanh");
  for (int64_t i = 0; i < call.output_shape(0).elements(); ++i) y[i] = narrow<T>(value(x[i], by_tanh));
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes& attributes) {
  flag(attributes, "tanh");
  const TensorType& dy = activation_input(inputs, 0, "dy[...]", any_rank);
  expect_input(inputs, 1, "x[...]", dy);
  return {dy};
}

template <class T>
void backward_reference(const KernelCall& call) {
  const T* dy = call.input<T>(0);
  const T* x = call.input<T>(1);
  T* dx = call.output<T>(0);
  bool by_tanh = flag(call.node.attributes, "tanh");
  for (int64_t i = 0; i < call.output_shape(0).elements(); ++i) {
    dx[i] = narrow<T>(double{dy[i]} * slope(x[i], by_tanh));
  }
}

AttributeRule tanh_attribute() {
  return {"tanh", int64_t{0}, "1: Phi by the approximation 0.5 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))"};
}

}  // namespace

Op gelu_op() {
  Op op;
  op.name = "gelu";
  op.doc = "y = x Phi(x), Phi the normal distribution function";
  op.inputs = {"x[...]"};
  op.outputs = {"y[...]"};
  op.attributes = {tanh_attribute()};
  op.shape = gelu_shape;
  // One each for the function itself and what stands around it.
  op.flops = [](const Graph& graph, const Node& node) { return 4 * output_elements(graph, node); };
  op.gradient = gelu_gradient;
  op.reference_float = gelu_reference<float>;
  op.reference_double = gelu_reference<double>;
  op.reference_bfloat16 = gelu_reference<BFloat16>;
  op.reference_float16 = gelu_reference<Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.in_place_input = 0;
  op.samples = {{.inputs = {{3, 7}}},
                {.inputs = {{2, 3, 5, 4}}, .attributes = {{"tanh", int64_t{1}}}},
                {.inputs = {{2, 9, 33}}}};
  return op;
}

Op gelu_backward_op() {
  Op op;
  op.name = "gelu_backward";
  op.doc = "dx = dy (Phi(x) + x phi(x)), phi the normal density; or the approximation's own slope";
  op.inputs = {"dy[...]", "x[...]"};
  op.outputs = {"dx[...]"};
  op.required_inputs = op.max_inputs = 2;
  op.attributes = {tanh_attribute()};
  op.shape = backward_shape;
  op.flops = [](const Graph& graph, const Node& node) { return 9 * output_elements(graph, node); };
  op.reference_float = backward_reference<float>;
  op.reference_double = backward_reference<double>;
  op.reference_bfloat16 = backward_reference<BFloat16>;
  op.reference_float16 = backward_reference<Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0, 1};
  op.in_place_input = 0;
  op.samples = {{.inputs = {{3, 7}, {3, 7}}},
                {.inputs = {{2, 3, 5, 4}, {2, 3, 5, 4}}, .attributes = {{"tanh", int64_t{1}}}},
                {.inputs = {{2, 9, 33}, {2, 9, 33}}}};
  return op;
}

}  // namespace trireme
