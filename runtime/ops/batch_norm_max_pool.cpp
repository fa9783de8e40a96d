// Batch normalisation, max pooling and relu in one: what a convolutional net does between two convolutions.
// The normalised image, which is larger than all that goes in and out beside x, need not exist. The formulas
// are those of batch_norm.cpp and max_pool.cpp.
#include <cmath>

#include "ops/batch_norm.h"
#include "ops/moments.h"
#include "ops/ops.h"
#include "ops/pooling.h"
#include "ops/references.h"
#include "ops/rules.h"

namespace trireme {
namespace {

std::vector<TensorType> forward_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& x = activation_input(inputs, 0, "x[N, H, W, C]", 4);
  bool running = check_batch_norm(inputs, attributes, x);
  TensorType channel = {wide(x.dtype), {x.shape.back()}};
  Shape y = pooled(x.shape, max_pooling_of(attributes));
  std::vector<TensorType> outputs = {{x.dtype, y}, {DType::uint8, y}, channel, channel};
  if (running) outputs.insert(outputs.end(), {channel, channel});
  return outputs;
}

// batch_norm's 8 an element of x, a comparison for each position of a window and the relu's.
double forward_flops(const Graph& graph, const Node& node) {
  auto kernel = static_cast<double>(node.attributes.integer("kernel"));
  return 8 * static_cast<double>(graph.shape(node.inputs[0]).elements()) +
         output_elements(graph, node) * (kernel * kernel + 1);
}

std::vector<ValueId> forward_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  auto gradients = writer.add("batch_norm_max_pool_backward",
                              {output_gradient, node.outputs[0], node.outputs[1], node.inputs[0],
                               node.inputs[1], node.outputs[2], node.outputs[3]},
                              {{"kernel", node.attributes.integer("kernel")},
                               {"stride", node.attributes.integer("stride")},
                               {"padding", node.attributes.integer("padding")}});
  return {gradients[0], gradients[1], gradients[2], no_id, no_id};
}

template <class T>
void forward_reference(const KernelCall& call) {
  Pooling pool = max_pooling_of(call.node.attributes);
  const Shape& in = call.input_shape(0);
  const Shape& out = call.output_shape(0);
  int64_t channels = in[3], rows = in.elements() / channels;
  const T* x = call.input<T>(0);
  double share = static_cast<double>(in[0]) * call.scalars.sample_weight;
  auto count = static_cast<double>(rows);
  for (int64_t c = 0; c < channels; ++c) {
    auto [mean, squares] = moments_of(x, rows, channels, c);
    auto saved_mean = static_cast<Wide<T>>(mean);
    auto saved_inv_std =
        static_cast<Wide<T>>(1.0 / std::sqrt(squares / count + call.node.attributes.real("epsilon")));
    call.output<Wide<T>>(2)[c] = saved_mean;
    call.output<Wide<T>>(3)[c] = saved_inv_std;
    if (call.has_input(3)) {
      call.output<Wide<T>>(4)[c] = static_cast<Wide<T>>(mean * share);
      call.output<Wide<T>>(5)[c] = static_cast<Wide<T>>(rows > 1 ? squares / (count - 1) * share : 0.0);
    }
    Wide<T> gamma = call.input<Wide<T>>(1)[c], beta = call.input<Wide<T>>(2)[c];
    for (int64_t at = 0; at < out[0] * out[1] * out[2]; ++at) {
      int64_t s = at / (out[1] * out[2]), p = at / out[2] % out[1], q = at % out[2];
      WindowSpan window_rows = window_span(p, in[1], pool.kernel, pool.stride, pool.padding);
      WindowSpan columns = window_span(q, in[2], pool.kernel, pool.stride, pool.padding);
      T best{};
      int64_t place = -1;
      for (int64_t i = window_rows.begin; i < window_rows.end; ++i) {
        for (int64_t j = columns.begin; j < columns.end; ++j) {
          Wide<T> pixel = x[((s * in[1] + i) * in[2] + j) * channels + c];
          auto value = static_cast<T>(gamma * ((pixel - saved_mean) * saved_inv_std) + beta);
          if (place >= 0 && !(value > best)) continue;
          best = value;
          place = (i - window_rows.begin + window_rows.skipped) * pool.kernel + j - columns.begin +
                  columns.skipped;
        }
      }
      call.output<T>(0)[at * channels + c] = best > 0 ? best : T{0};
      call.output<uint8_t>(1)[at * channels + c] = static_cast<uint8_t>(place);
    }
  }
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& x = activation_input(inputs, 3, "x[N, H, W, C]", 4);
  Shape y = pooled(x.shape, max_pooling_of(attributes));
  expect_input(inputs, 0, "dy[N, OH, OW, C]", {x.dtype, y});
  expect_input(inputs, 1, "y[N, OH, OW, C]", {x.dtype, y});
  expect_input(inputs, 2, "argmax[N, OH, OW, C]", {DType::uint8, y});
  TensorType channel = {wide(x.dtype), {x.shape.back()}};
  expect_input(inputs, 4, "gamma[C]", channel);
  expect_input(inputs, 5, "saved_mean[C]", channel);
  expect_input(inputs, 6, "saved_inv_std[C]", channel);
  return {x, channel, channel};
}

double backward_flops(const Graph& graph, const Node& node) {
  return 10 * output_elements(graph, node) + 2 * static_cast<double>(graph.shape(node.inputs[0]).elements());
}

// What comes back to pixel (s, i, j) through the relu and the windows whose maximum it is.
template <class T>
double pixel_gradient(const KernelCall& call, const Pooling& pool, int64_t s, int64_t i, int64_t j,
                      int64_t c) {
  const Shape& out = call.input_shape(0);
  double sum = 0;
  for (int64_t ki = 0; ki < pool.kernel; ++ki) {
    int64_t p = window_at(i, ki, out[1], pool.stride, pool.padding);
    for (int64_t kj = 0; p >= 0 && kj < pool.kernel; ++kj) {
      int64_t q = window_at(j, kj, out[2], pool.stride, pool.padding);
      if (q < 0) continue;
      int64_t at = ((s * out[1] + p) * out[2] + q) * out[3] + c;
      bool won = call.input<uint8_t>(2)[at] == ki * pool.kernel + kj && call.input<T>(1)[at] > 0;
      if (won) sum += call.input<T>(0)[at];
    }
  }
  return sum;
}

// batch_norm's gradient of what pixel_gradient hands back.
template <class T>
void backward_reference(const KernelCall& call) {
  Pooling pool = max_pooling_of(call.node.attributes);
  const Shape& in = call.input_shape(3);
  int64_t channels = in[3], rows = in.elements() / channels;
  auto count = static_cast<double>(rows);
  for (int64_t c = 0; c < channels; ++c) {
    double mean = call.input<Wide<T>>(5)[c], inv_std = call.input<Wide<T>>(6)[c];
    auto gradient = [&](int64_t r) {
      return pixel_gradient<T>(call, pool, r / (in[1] * in[2]), r / in[2] % in[1], r % in[2], c);
    };
    auto xhat = [&](int64_t r) { return (double{call.input<T>(3)[r * channels + c]} - mean) * inv_std; };
    double dgamma = 0, dbeta = 0;
    for (int64_t r = 0; r < rows; ++r) {
      double dz = gradient(r);
      dbeta += dz;
      dgamma += dz * xhat(r);
    }
    call.output<Wide<T>>(1)[c] = static_cast<Wide<T>>(dgamma);
    call.output<Wide<T>>(2)[c] = static_cast<Wide<T>>(dbeta);
    double scale = double{call.input<Wide<T>>(4)[c]} * inv_std;
    for (int64_t r = 0; r < rows; ++r) {
      call.output<T>(0)[r * channels + c] =
          static_cast<T>(scale * (gradient(r) - dbeta / count - xhat(r) * (dgamma / count)));
    }
  }
}

}  // namespace

Op batch_norm_max_pool_op() {
  Op op;
  op.name = "batch_norm_max_pool";
  op.doc = "y = relu(max_pool(batch_norm(x))), and what these ops hand out besides";
  op.inputs = {"x[N, H, W, C]", "gamma[C]", "beta[C]", "running_mean[C]", "running_var[C]"};
  op.outputs = {"y[N, OH, OW, C]",  "argmax[N, OH, OW, C]", "saved_mean[C]",
                "saved_inv_std[C]", "batch_mean[C]",        "batch_variance[C]"};
  op.required_inputs = 3;
  op.max_inputs = 5;
  op.attributes = max_pooling_attributes();
  op.attributes.push_back({"epsilon", 1e-5, "added to the variance"});
  op.attributes.push_back({"momentum", 0.1, "weight of the batch's statistics in the running ones"});
  op.shape = forward_shape;
  op.flops = forward_flops;
  op.gradient = forward_gradient;
  set_references(op, []<class T>(const KernelCall& call) { forward_reference<T>(call); });
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.statistic_outputs = {{4, 3}, {5, 4}};
  op.samples = {
      {.inputs = {{3, 4, 6, 7}, {7}, {7}, {7}, {7}}, .positive = {4}},
      {.inputs = {{2, 7, 5, 17}, {17}, {17}, {}, {}},
       .attributes = {{"kernel", int64_t{3}}, {"epsilon", 1e-3}},
       .absent = {3, 4}},
      {.inputs = {{2, 7, 8, 3}, {3}, {3}, {3}, {3}},
       .attributes = {{"kernel", int64_t{3}}, {"padding", int64_t{1}}, {"momentum", 0.3}},
       .positive = {4}},
  };
  return op;
}

Op batch_norm_max_pool_backward_op() {
  Op op;
  op.name = "batch_norm_max_pool_backward";
  op.doc = "The gradients of batch_norm_max_pool's x, gamma and beta";
  op.inputs = {"dy[N, OH, OW, C]", "y[N, OH, OW, C]", "argmax[N, OH, OW, C]", "x[N, H, W, C]",
               "gamma[C]",         "saved_mean[C]",   "saved_inv_std[C]"};
  op.outputs = {"dx[N, H, W, C]", "dgamma[C]", "dbeta[C]"};
  op.required_inputs = op.max_inputs = 7;
  op.attributes = max_pooling_attributes();
  op.shape = backward_shape;
  op.flops = backward_flops;
  set_references(op, []<class T>(const KernelCall& call) { backward_reference<T>(call); });
  op.precision = Precision::follow;
  op.half_inputs = {0, 1, 3};
  op.samples = {
      {.inputs = {{3, 2, 3, 7}, {3, 2, 3, 7}, {3, 2, 3, 7}, {3, 4, 6, 7}, {7}, {7}, {7}},
       .positive = {6},
       .positions = {2}},
      {.inputs = {{2, 4, 4, 17}, {2, 4, 4, 17}, {2, 4, 4, 17}, {2, 7, 8, 17}, {17}, {17}, {17}},
       .attributes = {{"kernel", int64_t{3}}, {"padding", int64_t{1}}},
       .positive = {6},
       .positions = {2}},
  };
  return op;
}

}  // namespace trireme
