// Layer normalisation over the last axis (Ba, Kiros and Hinton, arXiv 1607.06450): each row by its own mean
// and biased variance.
#include <cmath>

#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

const TensorType& row_input(InputTypes inputs, size_t i, std::string_view layout) {
  floating_input(inputs, i, layout, any_rank);
  return rows_input(inputs, i, layout);
}

// One value a row.
TensorType row_statistic(const TensorType& x) { return {x.dtype, leading_axes(x.shape)}; }

std::vector<TensorType> layer_norm_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& x = row_input(inputs, 0, "x[..., C]");
  expect_input(inputs, 1, "gamma[C]", {x.dtype, {x.shape.back()}});
  expect_input(inputs, 2, "beta[C]", {x.dtype, {x.shape.back()}});
  real_within(attributes, "epsilon", 0.0, 1.0);
  return {x, row_statistic(x), row_statistic(x)};
}

std::vector<ValueId> layer_norm_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  return writer.add("layer_norm_backward",
                    {output_gradient, node.inputs[0], node.inputs[1], node.outputs[1], node.outputs[2]});
}

template <class T>
void layer_norm_reference(const KernelCall& call) {
  int64_t channels = call.input_shape(0).back(), rows = call.input_shape(0).elements() / channels;
  const T* gamma = call.input<T>(1);
  const T* beta = call.input<T>(2);
  double epsilon = call.node.attributes.real("epsilon");
  for (int64_t r = 0; r < rows; ++r) {
    const T* x = call.input<T>(0) + r * channels;
    T* y = call.output<T>(0) + r * channels;
    double sum = 0, squares = 0;
    for (int64_t c = 0; c < channels; ++c) sum += x[c];
    double mean = sum / static_cast<double>(channels);
    for (int64_t c = 0; c < channels; ++c) squares += (x[c] - mean) * (x[c] - mean);
    double inv_std = 1 / std::sqrt(squares / static_cast<double>(channels) + epsilon);
    for (int64_t c = 0; c < channels; ++c) {
      y[c] = static_cast<T>(double{gamma[c]} * ((x[c] - mean) * inv_std) + double{beta[c]});
    }
    call.output<T>(1)[r] = static_cast<T>(mean);
    call.output<T>(2)[r] = static_cast<T>(inv_std);
  }
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes&) {
  const TensorType& dy = row_input(inputs, 0, "dy[..., C]");
  TensorType channel = {dy.dtype, {dy.shape.back()}};
  expect_input(inputs, 1, "x[..., C]", dy);
  expect_input(inputs, 2, "gamma[C]", channel);
  expect_input(inputs, 3, "saved_mean[...]", row_statistic(dy));
  expect_input(inputs, 4, "saved_inv_std[...]", row_statistic(dy));
  return {dy, channel, channel};
}

// With h = (x - mean) inv_std and g = dy gamma, means taken over the row's channels:
// dx = inv_std (g - mean(g) - h mean(g h)); dgamma = sum over rows of dy h, dbeta = sum over rows of dy.
template <class T>
void backward_reference(const KernelCall& call) {
  int64_t channels = call.input_shape(0).back(), rows = call.input_shape(0).elements() / channels;
  const T* dy = call.input<T>(0);
  const T* x = call.input<T>(1);
  const T* gamma = call.input<T>(2);
  const T* mean = call.input<T>(3);
  const T* inv_std = call.input<T>(4);
  T* dx = call.output<T>(0);
  auto normal = [&](int64_t r, int64_t c) {
    return (double{x[r * channels + c]} - double{mean[r]}) * double{inv_std[r]};
  };
  auto scaled = [&](int64_t r, int64_t c) { return double{dy[r * channels + c]} * double{gamma[c]}; };
  auto count = static_cast<double>(channels);
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0, product = 0;
    for (int64_t c = 0; c < channels; ++c) {
      sum += scaled(r, c);
      product += scaled(r, c) * normal(r, c);
    }
    for (int64_t c = 0; c < channels; ++c) {
      double difference = scaled(r, c) - sum / count - normal(r, c) * (product / count);
      dx[r * channels + c] = static_cast<T>(double{inv_std[r]} * difference);
    }
  }
  for (int64_t c = 0; c < channels; ++c) {
    double dgamma = 0, dbeta = 0;
    for (int64_t r = 0; r < rows; ++r) {
      dgamma += double{dy[r * channels + c]} * normal(r, c);
      dbeta += dy[r * channels + c];
    }
    call.output<T>(1)[c] = static_cast<T>(dgamma);
    call.output<T>(2)[c] = static_cast<T>(dbeta);
  }
}

}  // namespace

Op layer_norm_op() {
  Op op;
  op.name = "layer_norm";
  op.doc =
      "y = gamma (x - mean) / sqrt(variance + epsilon) + beta by each row's own mean and biased variance "
      "over "
      "the last axis";
  op.inputs = {"x[..., C]", "gamma[C]", "beta[C]"};
  op.outputs = {"y[..., C]", "saved_mean[...]", "saved_inv_std[...]"};
  op.required_inputs = op.max_inputs = 3;
  op.attributes = {{"epsilon", 1e-5, "added to the variance"}};
  op.shape = layer_norm_shape;
  // Mean 1, variance 3, normalisation 4 operations an element.
  op.flops = [](const Graph& graph, const Node& node) { return 8 * output_elements(graph, node); };
  op.gradient = layer_norm_gradient;
  op.reference_float = layer_norm_reference<float>;
  op.reference_double = layer_norm_reference<double>;
  op.samples = {
      {.inputs = {{2, 3, 7}, {7}, {7}}},
      {.inputs = {{5, 33}, {33}, {33}}, .attributes = {{"epsilon", 1e-3}}},
      {.inputs = {{2, 2, 3, 16}, {16}, {16}}},
  };
  return op;
}

Op layer_norm_backward_op() {
  Op op;
  op.name = "layer_norm_backward";
  op.doc = "The gradients of layer_norm's x, gamma and beta";
  op.inputs = {"dy[..., C]", "x[..., C]", "gamma[C]", "saved_mean[...]", "saved_inv_std[...]"};
  op.outputs = {"dx[..., C]", "dgamma[C]", "dbeta[C]"};
  op.required_inputs = op.max_inputs = 5;
  op.shape = backward_shape;
  op.flops = [](const Graph& graph, const Node& node) { return 14 * output_elements(graph, node); };
  op.reference_float = backward_reference<float>;
  op.reference_double = backward_reference<double>;
  op.samples = {
      {.inputs = {{2, 3, 7}, {2, 3, 7}, {7}, {2, 3}, {2, 3}}, .positive = {4}},
      {.inputs = {{5, 33}, {5, 33}, {33}, {5}, {5}}, .positive = {4}},
  };
  return op;
}

}  // namespace trireme
