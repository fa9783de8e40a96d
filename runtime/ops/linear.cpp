// y = x w + b, with an optional fused relu, and its two gradients.
#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

std::vector<TensorType> linear_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& x = floating_input(inputs, 0, "x[N, I]", 2);
  const TensorType& w = floating_input(inputs, 1, "w[I, O]", 2);
  expect_input(inputs, 1, "w[I, O]", {x.dtype, {x.shape[1], w.shape[1]}});
  if (inputs[2]) expect_input(inputs, 2, "b[O]", {x.dtype, {w.shape[1]}});
  flag(attributes, "relu");
  return {{x.dtype, {x.shape[0], w.shape[1]}}};
}

double linear_flops(const Graph& graph, const Node& node) {
  double outputs = output_elements(graph, node);
  bool bias = node.inputs.size() > 2 && node.inputs[2] != no_id;
  double each = 2.0 * static_cast<double>(graph.shape(node.inputs[0])[1]) + (bias ? 1 : 0) +
                (flag(node.attributes, "relu") ? 1 : 0);
  return outputs * each;
}

std::vector<ValueId> linear_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  bool bias = node.inputs.size() > 2 && node.inputs[2] != no_id;
  ValueId dy = gradient_before_relu(writer, node, output_gradient);
  ValueId dx = writer.add_one("linear_backward_data", {dy, node.inputs[1]});
  auto weights = writer.add("linear_backward_weights", {dy, node.inputs[0]}, {{"bias", int64_t{bias}}});
  return {dx, weights[0], bias ? weights[1] : no_id};
}

template <class T>
void linear_reference(const KernelCall& call) {
  int64_t n = call.input_shape(0)[0], in = call.input_shape(0)[1], out = call.output_shape(0)[1];
  const T* x = call.input<T>(0);
  const T* w = call.input<T>(1);
  const T* b = call.has_input(2) ? call.input<T>(2) : nullptr;
  T* y = call.output<T>(0);
  bool relu = flag(call.node.attributes, "relu");
  for (int64_t s = 0; s < n; ++s) {
    for (int64_t o = 0; o < out; ++o) {
      double sum = b ? b[o] : 0;
      for (int64_t i = 0; i < in; ++i) sum += double{x[s * in + i]} * double{w[i * out + o]};
      y[s * out + o] = static_cast<T>(relu && sum < 0 ? 0 : sum);
    }
  }
}

std::vector<TensorType> data_shape(InputTypes inputs, const Attributes&) {
  const TensorType& dy = floating_input(inputs, 0, "dy[N, O]", 2);
  const TensorType& w = floating_input(inputs, 1, "w[I, O]", 2);
  expect_input(inputs, 1, "w[I, O]", {dy.dtype, {w.shape[0], dy.shape[1]}});
  return {{dy.dtype, {dy.shape[0], w.shape[0]}}};
}

double data_flops(const Graph& graph, const Node& node) {
  return 2.0 * output_elements(graph, node) * static_cast<double>(graph.shape(node.inputs[0])[1]);
}

template <class T>
void data_reference(const KernelCall& call) {
  int64_t n = call.input_shape(0)[0], out = call.input_shape(0)[1], in = call.output_shape(0)[1];
  const T* dy = call.input<T>(0);
  const T* w = call.input<T>(1);
  T* dx = call.output<T>(0);
  for (int64_t s = 0; s < n; ++s) {
    for (int64_t i = 0; i < in; ++i) {
      double sum = 0;
      for (int64_t o = 0; o < out; ++o) sum += double{dy[s * out + o]} * double{w[i * out + o]};
      dx[s * in + i] = static_cast<T>(sum);
    }
  }
}

std::vector<TensorType> weights_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& dy = floating_input(inputs, 0, "dy[N, O]", 2);
  const TensorType& x = floating_input(inputs, 1, "x[N, I]", 2);
  expect_input(inputs, 1, "x[N, I]", {dy.dtype, {dy.shape[0], x.shape[1]}});
  std::vector<TensorType> types = {{dy.dtype, {x.shape[1], dy.shape[1]}}};
  if (flag(attributes, "bias")) types.push_back({dy.dtype, {dy.shape[1]}});
  return types;
}

double weights_flops(const Graph& graph, const Node& node) {
  const Shape& dy = graph.shape(node.inputs[0]);
  double products = 2.0 * output_elements(graph, node) * static_cast<double>(dy[0]);
  return products + (flag(node.attributes, "bias") ? static_cast<double>(dy.elements()) : 0.0);
}

template <class T>
void weights_reference(const KernelCall& call) {
  int64_t n = call.input_shape(0)[0], out = call.input_shape(0)[1], in = call.input_shape(1)[1];
  const T* dy = call.input<T>(0);
  const T* x = call.input<T>(1);
  T* dw = call.output<T>(0);
  for (int64_t i = 0; i < in; ++i) {
    for (int64_t o = 0; o < out; ++o) {
      double sum = 0;
      for (int64_t s = 0; s < n; ++s) sum += double{x[s * in + i]} * double{dy[s * out + o]};
      dw[i * out + o] = static_cast<T>(sum);
    }
  }
  if (!flag(call.node.attributes, "bias")) return;
  T* db = call.output<T>(1);
  for (int64_t o = 0; o < out; ++o) {
    double sum = 0;
    for (int64_t s = 0; s < n; ++s) sum += dy[s * out + o];
    db[o] = static_cast<T>(sum);
  }
}

}  // namespace

Op linear_op() {
  Op op;
  op.name = "linear";
  op.doc = "y = x w + b, the fully connected layer";
  op.inputs = {"x[N, I]", "w[I, O]", "b[O]"};
  op.outputs = {"y[N, O]"};
  op.required_inputs = 2;
  op.max_inputs = 3;
  op.attributes = {relu_attribute()};
  op.shape = linear_shape;
  op.flops = linear_flops;
  op.gradient = linear_gradient;
  op.reference_float = linear_reference<float>;
  op.reference_double = linear_reference<double>;
  op.samples = {
      {.inputs = {{3, 5}, {5, 7}, {7}}},
      {.inputs = {{1, 9}, {9, 2}, {}}, .absent = {2}},
      {.inputs = {{4, 6}, {6, 5}, {5}}, .attributes = {{"relu", int64_t{1}}}},
      {.inputs = {{33, 17}, {17, 19}, {}}, .attributes = {{"relu", int64_t{1}}}, .absent = {2}},
  };
  return op;
}

Op linear_backward_data_op() {
  Op op;
  op.name = "linear_backward_data";
  op.doc = "dx = dy w^T, the gradient of linear's input";
  op.inputs = {"dy[N, O]", "w[I, O]"};
  op.outputs = {"dx[N, I]"};
  op.required_inputs = op.max_inputs = 2;
  op.shape = data_shape;
  op.flops = data_flops;
  op.reference_float = data_reference<float>;
  op.reference_double = data_reference<double>;
  op.samples = {{.inputs = {{3, 7}, {5, 7}}}, {.inputs = {{33, 1}, {17, 1}}}};
  return op;
}

Op linear_backward_weights_op() {
  Op op;
  op.name = "linear_backward_weights";
  op.doc = "dw = x^T dy and db = the sum of dy over samples, the gradients of linear's weights and bias";
  op.inputs = {"dy[N, O]", "x[N, I]"};
  op.outputs = {"dw[I, O]", "db[O]"};
  op.required_inputs = op.max_inputs = 2;
  op.attributes = {{"bias", int64_t{1}, "0: there is no db"}};
  op.shape = weights_shape;
  op.flops = weights_flops;
  op.reference_float = weights_reference<float>;
  op.reference_double = weights_reference<double>;
  op.samples = {{.inputs = {{3, 7}, {3, 5}}},
                {.inputs = {{33, 19}, {33, 17}}, .attributes = {{"bias", int64_t{0}}}}};
  return op;
}

}  // namespace trireme
