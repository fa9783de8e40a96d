// Batch normalisation over the last axis (Ioffe and Szegedy, "Batch normalization", 2015), with an optional
// fused relu. Training normalises by the batch's own mean and biased variance, and hands out this rank's
// share of the statistics that move the running mean and variance; inference normalises by the running ones.
#include <cmath>

#include "base/error.h"
#include "ops/batch_norm.h"
#include "ops/moments.h"
#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

// Input i must be a vector over the channels of x.
void expect_channels(InputTypes inputs, size_t i, std::string_view layout, const TensorType& x) {
  expect_input(inputs, i, layout, {wide(x.dtype), {x.shape.back()}});
}

const TensorType& normalised_input(InputTypes inputs, size_t i, std::string_view layout) {
  const TensorType& x = activation_input(inputs, i, layout, any_rank);
  if (x.shape.rank() < 2)
    throw GraphError("input {} ({}) must have two or more axes, got {}", i, layout, describe(x));
  return x;
}

// One expression in both directions, so that the relu mask recomputed in the gradient is the forward one.
template <class T>
T normalised(T x, T gamma, T beta, T mean, T inv_std) {
  return gamma * ((x - mean) * inv_std) + beta;
}

std::vector<TensorType> batch_norm_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& x = normalised_input(inputs, 0, "x[N, ..., C]");
  bool running = check_batch_norm(inputs, attributes, x);
  flag(attributes, "relu");
  TensorType channel = {wide(x.dtype), {x.shape.back()}};
  if (!running) return {x, channel, channel};
  return {x, channel, channel, channel, channel};
}

// Mean 1, variance 3, normalisation 4 operations an element.
double batch_norm_flops(const Graph& graph, const Node& node) {
  return output_elements(graph, node) * (flag(node.attributes, "relu") ? 9 : 8);
}

std::vector<ValueId> batch_norm_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  auto gradients = writer.add(
      "batch_norm_backward",
      {output_gradient, node.inputs[0], node.inputs[1], node.inputs[2], node.outputs[1], node.outputs[2]},
      {{"relu", node.attributes.integer("relu")}});
  return {gradients[0], gradients[1], gradients[2], no_id, no_id};
}

template <class T>
void batch_norm_reference(const KernelCall& call) {
  int64_t channels = call.input_shape(0).back(), rows = call.input_shape(0).elements() / channels;
  const T* x = call.input<T>(0);
  const auto* gamma = call.input<Wide<T>>(1);
  const auto* beta = call.input<Wide<T>>(2);
  T* y = call.output<T>(0);
  double epsilon = call.node.attributes.real("epsilon");
  bool relu = flag(call.node.attributes, "relu"), running = call.has_input(3);
  double share = static_cast<double>(call.input_shape(0)[0]) * call.scalars.sample_weight;
  auto count = static_cast<double>(rows);
  for (int64_t c = 0; c < channels; ++c) {
    auto [mean, squares] = moments_of(x, rows, channels, c);
    auto saved_mean = static_cast<Wide<T>>(mean);
    auto saved_inv_std = static_cast<Wide<T>>(1.0 / std::sqrt(squares / count + epsilon));
    call.output<Wide<T>>(1)[c] = saved_mean;
    call.output<Wide<T>>(2)[c] = saved_inv_std;
    if (running) {
      call.output<Wide<T>>(3)[c] = static_cast<Wide<T>>(mean * share);
      // Unbiased; one element alone has no variance to speak of, so 0 stands for it.
      call.output<Wide<T>>(4)[c] = static_cast<Wide<T>>(rows > 1 ? squares / (count - 1) * share : 0.0);
    }
    for (int64_t r = 0; r < rows; ++r) {
      auto value = normalised<Wide<T>>(x[r * channels + c], gamma[c], beta[c], saved_mean, saved_inv_std);
      y[r * channels + c] = relu && !(value > 0) ? T{0} : static_cast<T>(value);
    }
  }
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& dy = normalised_input(inputs, 0, "dy[N, ..., C]");
  expect_input(inputs, 1, "x[N, ..., C]", dy);
  expect_channels(inputs, 2, "gamma[C]", dy);
  expect_channels(inputs, 3, "beta[C]", dy);
  expect_channels(inputs, 4, "saved_mean[C]", dy);
  expect_channels(inputs, 5, "saved_inv_std[C]", dy);
  flag(attributes, "relu");
  TensorType channel = {wide(dy.dtype), {dy.shape.back()}};
  return {dy, channel, channel};
}

// Normalisation 2, the two sums 3, dx 5 operations an element; the mask 3 more.
double backward_flops(const Graph& graph, const Node& node) {
  return output_elements(graph, node) * (flag(node.attributes, "relu") ? 13 : 10);
}

// With xhat = (x - mean) inv_std over m elements a channel:
// dbeta = sum dy, dgamma = sum dy xhat, dx = gamma inv_std (dy - dbeta / m - xhat dgamma / m).
template <class T>
void backward_reference(const KernelCall& call) {
  int64_t channels = call.input_shape(0).back(), rows = call.input_shape(0).elements() / channels;
  const T* dy = call.input<T>(0);
  const T* x = call.input<T>(1);
  const auto* gamma = call.input<Wide<T>>(2);
  const auto* beta = call.input<Wide<T>>(3);
  const auto* mean = call.input<Wide<T>>(4);
  const auto* inv_std = call.input<Wide<T>>(5);
  T* dx = call.output<T>(0);
  bool relu = flag(call.node.attributes, "relu");
  auto count = static_cast<double>(rows);
  for (int64_t c = 0; c < channels; ++c) {
    auto masked = [&](int64_t at) {
      bool off = relu && !(normalised<Wide<T>>(x[at], gamma[c], beta[c], mean[c], inv_std[c]) > 0);
      return off ? 0.0 : double{dy[at]};
    };
    auto xhat = [&](int64_t at) { return (double{x[at]} - double{mean[c]}) * double{inv_std[c]}; };
    double dgamma = 0, dbeta = 0;
    for (int64_t r = 0; r < rows; ++r) {
      int64_t at = r * channels + c;
      dbeta += masked(at);
      dgamma += masked(at) * xhat(at);
    }
    call.output<Wide<T>>(1)[c] = static_cast<Wide<T>>(dgamma);
    call.output<Wide<T>>(2)[c] = static_cast<Wide<T>>(dbeta);
    double scale = double{gamma[c]} * double{inv_std[c]};
    for (int64_t r = 0; r < rows; ++r) {
      int64_t at = r * channels + c;
      dx[at] = static_cast<T>(scale * (masked(at) - dbeta / count - xhat(at) * (dgamma / count)));
    }
  }
}

std::vector<TensorType> inference_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& x = normalised_input(inputs, 0, "x[N, ..., C]");
  expect_channels(inputs, 1, "gamma[C]", x);
  expect_channels(inputs, 2, "beta[C]", x);
  expect_channels(inputs, 3, "running_mean[C]", x);
  expect_channels(inputs, 4, "running_var[C]", x);
  real_within(attributes, "epsilon", 0.0, 1.0);
  flag(attributes, "relu");
  return {x};
}

double inference_flops(const Graph& graph, const Node& node) {
  return output_elements(graph, node) * (flag(node.attributes, "relu") ? 5 : 4);
}

template <class T>
void inference_reference(const KernelCall& call) {
  int64_t channels = call.input_shape(0).back(), rows = call.input_shape(0).elements() / channels;
  const T* x = call.input<T>(0);
  T* y = call.output<T>(0);
  double epsilon = call.node.attributes.real("epsilon");
  bool relu = flag(call.node.attributes, "relu");
  for (int64_t c = 0; c < channels; ++c) {
    double inv_std = 1.0 / std::sqrt(double{call.input<Wide<T>>(4)[c]} + epsilon);
    for (int64_t r = 0; r < rows; ++r) {
      double value = normalised<double>(x[r * channels + c], call.input<Wide<T>>(1)[c],
                                        call.input<Wide<T>>(2)[c], call.input<Wide<T>>(3)[c], inv_std);
      y[r * channels + c] = static_cast<T>(relu && !(value > 0) ? 0.0 : value);
    }
  }
}

AttributeRule epsilon_attribute() { return {"epsilon", 1e-5, "added to the variance"}; }

}  // namespace

bool check_batch_norm(InputTypes inputs, const Attributes& attributes, const TensorType& x) {
  expect_channels(inputs, 1, "gamma[C]", x);
  expect_channels(inputs, 2, "beta[C]", x);
  bool running = inputs[3] || inputs[4];
  if (running) {  // both or none
    expect_channels(inputs, 3, "running_mean[C]", x);
    expect_channels(inputs, 4, "running_var[C]", x);
  }
  real_within(attributes, "epsilon", 0.0, 1.0);
  real_within(attributes, "momentum", 0.0, 1.0 + 1e-12);
  return running;
}

Op batch_norm_op() {
  Op op;
  op.name = "batch_norm";
  op.doc =
      "y = gamma (x - mean) / sqrt(variance + epsilon) + beta by the batch's mean and biased variance over "
      "all axes "
      "but the last; batch_mean and batch_variance (unbiased) are this rank's share of a mean over samples, "
      "and move the running ones; without running ones there are no such outputs";
  op.inputs = {"x[N, ..., C]", "gamma[C]", "beta[C]", "running_mean[C]", "running_var[C]"};
  op.outputs = {"y[N, ..., C]", "saved_mean[C]", "saved_inv_std[C]", "batch_mean[C]", "batch_variance[C]"};
  op.required_inputs = 3;
  op.max_inputs = 5;
  op.attributes = {epsilon_attribute(),
                   {"momentum", 0.1, "weight of the batch's statistics in the running ones"},
                   relu_attribute()};
  op.shape = batch_norm_shape;
  op.flops = batch_norm_flops;
  op.gradient = batch_norm_gradient;
  op.reference_float = batch_norm_reference<float>;
  op.reference_double = batch_norm_reference<double>;
  op.reference_bfloat16 = batch_norm_reference<BFloat16>;
  op.reference_float16 = batch_norm_reference<Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.statistic_outputs = {{3, 3}, {4, 4}};
  op.samples = {
      {.inputs = {{3, 4, 5, 7}, {7}, {7}, {7}, {7}}, .positive = {4}},
      {.inputs = {{7, 3}, {3}, {3}, {3}, {3}},
       .attributes = {{"epsilon", 1e-3}, {"momentum", 0.3}},
       .positive = {4}},
      {.inputs = {{2, 3, 3, 17}, {17}, {17}, {17}, {17}},
       .attributes = {{"relu", int64_t{1}}},
       .positive = {4}},
      {.inputs = {{4, 2, 3, 5}, {5}, {5}, {}, {}}, .attributes = {{"relu", int64_t{1}}}, .absent = {3, 4}},
  };
  return op;
}

Op batch_norm_backward_op() {
  Op op;
  op.name = "batch_norm_backward";
  op.doc =
      "The gradients of batch_norm's x, gamma and beta; with relu=1 the mask is the sign of "
      "gamma ((x - saved_mean) saved_inv_std) + beta, so that y need not be kept";
  op.inputs = {"dy[N, ..., C]", "x[N, ..., C]", "gamma[C]", "beta[C]", "saved_mean[C]", "saved_inv_std[C]"};
  op.outputs = {"dx[N, ..., C]", "dgamma[C]", "dbeta[C]"};
  op.required_inputs = op.max_inputs = 6;
  op.attributes = {{"relu", int64_t{0}, "1: the forward op had its relu"}};
  op.shape = backward_shape;
  op.flops = backward_flops;
  op.reference_float = backward_reference<float>;
  op.reference_double = backward_reference<double>;
  op.reference_bfloat16 = backward_reference<BFloat16>;
  op.reference_float16 = backward_reference<Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0, 1};
  op.samples = {
      {.inputs = {{3, 4, 5, 7}, {3, 4, 5, 7}, {7}, {7}, {7}, {7}}, .positive = {5}},
      {.inputs = {{7, 3}, {7, 3}, {3}, {3}, {3}, {3}}, .positive = {5}},
      {.inputs = {{2, 3, 3, 17}, {2, 3, 3, 17}, {17}, {17}, {17}, {17}},
       .attributes = {{"relu", int64_t{1}}},
       .positive = {5}},
  };
  return op;
}

Op batch_norm_inference_op() {
  Op op;
  op.name = "batch_norm_inference";
  op.doc = "y = gamma (x - running_mean) / sqrt(running_var + epsilon) + beta";
  op.inputs = {"x[N, ..., C]", "gamma[C]", "beta[C]", "running_mean[C]", "running_var[C]"};
  op.outputs = {"y[N, ..., C]"};
  op.required_inputs = op.max_inputs = 5;
  op.attributes = {epsilon_attribute(), relu_attribute()};
  op.shape = inference_shape;
  op.flops = inference_flops;
  op.reference_float = inference_reference<float>;
  op.reference_double = inference_reference<double>;
  op.reference_bfloat16 = inference_reference<BFloat16>;
  op.reference_float16 = inference_reference<Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.samples = {
      {.inputs = {{3, 4, 5, 7}, {7}, {7}, {7}, {7}}, .positive = {4}},
      {.inputs = {{5, 17}, {17}, {17}, {17}, {17}},
       .attributes = {{"epsilon", 1e-3}, {"relu", int64_t{1}}},
       .positive = {4}},
  };
  return op;
}

}  // namespace trireme
