// Maximum over square windows. The position of the maximum within its window is kept in a byte, so that the
// gradient needs neither x nor y.
#include <limits>

#include "ops/ops.h"
#include "ops/pooling.h"
#include "ops/rules.h"
#include "ops/window.h"

namespace trireme {
namespace {

std::vector<TensorType> max_pool_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& x = activation_input(inputs, 0, "x[N, H, W, C]", 4);
  Shape y = pooled(x.shape, max_pooling_of(attributes));
  return {{x.dtype, y}, {DType::uint8, y}};
}

double max_pool_flops(const Graph& graph, const Node& node) {
  auto kernel = static_cast<double>(node.attributes.integer("kernel"));
  return output_elements(graph, node) * kernel * kernel;
}

std::vector<ValueId> max_pool_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  Shape x = writer.graph().shape(node.inputs[0]);
  return {writer.add_one("max_pool_backward", {output_gradient, node.outputs[1]},
                         pooling_backward_attributes(node, x))};
}

template <class T>
void max_pool_reference(const KernelCall& call) {
  Pooling pool = max_pooling_of(call.node.attributes);
  const Shape& in = call.input_shape(0);
  const Shape& out = call.output_shape(0);
  const T* x = call.input<T>(0);
  T* y = call.output<T>(0);
  auto* argmax = call.output<uint8_t>(1);
  for (int64_t s = 0; s < out[0]; ++s) {
    for (int64_t p = 0; p < out[1]; ++p) {
      WindowSpan rows = window_span(p, in[1], pool.kernel, pool.stride, pool.padding);
      for (int64_t q = 0; q < out[2]; ++q) {
        WindowSpan columns = window_span(q, in[2], pool.kernel, pool.stride, pool.padding);
        for (int64_t c = 0; c < out[3]; ++c) {
          int64_t best_i = rows.begin, best_j = columns.begin;
          T best = x[((s * in[1] + best_i) * in[2] + best_j) * in[3] + c];
          for (int64_t i = rows.begin; i < rows.end; ++i) {
            for (int64_t j = columns.begin; j < columns.end; ++j) {
              T value = x[((s * in[1] + i) * in[2] + j) * in[3] + c];
              if (value > best) best = value, best_i = i, best_j = j;
            }
          }
          int64_t at = ((s * out[1] + p) * out[2] + q) * out[3] + c;
          int64_t ki = best_i - rows.begin + rows.skipped, kj = best_j - columns.begin + columns.skipped;
          y[at] = best;
          argmax[at] = static_cast<uint8_t>(ki * pool.kernel + kj);
        }
      }
    }
  }
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& dy = activation_input(inputs, 0, "dy[N, OH, OW, C]", 4);
  Shape x = {dy.shape[0], integer_of_at_least(attributes, "height", 1),
             integer_of_at_least(attributes, "width", 1), dy.shape[3]};
  expect_input(inputs, 0, "dy[N, OH, OW, C]", {dy.dtype, pooled(x, max_pooling_of(attributes))});
  expect_input(inputs, 1, "argmax[N, OH, OW, C]", {DType::uint8, dy.shape});
  return {{dy.dtype, x}};
}

double backward_flops(const Graph& graph, const Node& node) {
  return static_cast<double>(graph.shape(node.inputs[0]).elements());
}

// Gathers: every pixel sums the gradients of the windows whose maximum it is.
template <class T>
void backward_reference(const KernelCall& call) {
  Pooling pool = max_pooling_of(call.node.attributes);
  const Shape& out = call.input_shape(0);
  const Shape& in = call.output_shape(0);
  const T* dy = call.input<T>(0);
  const auto* argmax = call.input<uint8_t>(1);
  T* dx = call.output<T>(0);
  for (int64_t s = 0; s < in[0]; ++s) {
    for (int64_t i = 0; i < in[1]; ++i) {
      for (int64_t j = 0; j < in[2]; ++j) {
        for (int64_t c = 0; c < in[3]; ++c) {
          double sum = 0;
          for (int64_t ki = 0; ki < pool.kernel; ++ki) {
            int64_t p = window_at(i, ki, out[1], pool.stride, pool.padding);
            for (int64_t kj = 0; p >= 0 && kj < pool.kernel; ++kj) {
              int64_t q = window_at(j, kj, out[2], pool.stride, pool.padding);
              if (q < 0) continue;
              int64_t at = ((s * out[1] + p) * out[2] + q) * out[3] + c;
              if (argmax[at] == ki * pool.kernel + kj) sum += dy[at];
            }
          }
          dx[((s * in[1] + i) * in[2] + j) * in[3] + c] = static_cast<T>(sum);
        }
      }
    }
  }
}

}  // namespace

Op max_pool_op() {
  Op op;
  op.name = "max_pool";
  op.doc =
      "y = the maximum of each window, argmax = its position in the window (row * kernel + column; the first "
      "wins)";
  op.inputs = {"x[N, H, W, C]"};
  op.outputs = {"y[N, OH, OW, C]", "argmax[N, OH, OW, C]"};
  op.attributes = max_pooling_attributes();
  op.shape = max_pool_shape;
  op.flops = max_pool_flops;
  op.gradient = max_pool_gradient;
  op.reference_float = max_pool_reference<float>;
  op.reference_double = max_pool_reference<double>;
  op.reference_bfloat16 = max_pool_reference<BFloat16>;
  op.reference_float16 = max_pool_reference<Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.samples = pooling_samples();
  return op;
}

Op max_pool_backward_op() {
  Op op;
  op.name = "max_pool_backward";
  op.doc = "The gradient of max_pool's input x[N, height, width, C]: dy goes to the pixel that won";
  op.inputs = {"dy[N, OH, OW, C]", "argmax[N, OH, OW, C]"};
  op.outputs = {"dx[N, H, W, C]"};
  op.required_inputs = op.max_inputs = 2;
  op.attributes = max_pooling_attributes();
  op.attributes.push_back({"height", int64_t{0}, "of x; must be given"});
  op.attributes.push_back({"width", int64_t{0}, "of x; must be given"});
  op.shape = backward_shape;
  op.flops = backward_flops;
  op.reference_float = backward_reference<float>;
  op.reference_double = backward_reference<double>;
  op.reference_bfloat16 = backward_reference<BFloat16>;
  op.reference_float16 = backward_reference<Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.samples = {
      {.inputs = {{2, 3, 4, 3}, {2, 3, 4, 3}},
       .attributes = {{"height", int64_t{7}}, {"width", int64_t{8}}},
       .positions = {1}},
      {.inputs = {{3, 4, 4, 17}, {3, 4, 4, 17}},
       .attributes = {{"kernel", int64_t{3}},
                      {"stride", int64_t{2}},
                      {"padding", int64_t{1}},
                      {"height", int64_t{7}},
                      {"width", int64_t{8}}},
       .positions = {1}},
  };
  return op;
}

}  // namespace trireme
