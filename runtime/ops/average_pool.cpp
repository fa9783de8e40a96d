// Mean over square windows, taken over the positions inside the image (padding does not count).
#include "base/error.h"
#include "ops/ops.h"
#include "ops/pooling.h"
#include "ops/rules.h"
#include "ops/window.h"

namespace trireme {
namespace {

std::vector<TensorType> average_pool_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& x = activation_input(inputs, 0, "x[N, H, W, C]", 4);
  return {{x.dtype, pooled(x.shape, pooling_of(attributes))}};
}

double average_pool_flops(const Graph& graph, const Node& node) {
  auto kernel = static_cast<double>(node.attributes.integer("kernel"));
  return output_elements(graph, node) * (kernel * kernel + 1);
}

std::vector<ValueId> average_pool_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  Shape x = writer.graph().shape(node.inputs[0]);
  return {writer.add_one("average_pool_backward", {output_gradient}, pooling_backward_attributes(node, x))};
}

template <class T>
void average_pool_reference(const KernelCall& call) {
  Pooling pool = pooling_of(call.node.attributes);
  const Shape& in = call.input_shape(0);
  const Shape& out = call.output_shape(0);
  const T* x = call.input<T>(0);
  T* y = call.output<T>(0);
  for (int64_t s = 0; s < out[0]; ++s) {
    for (int64_t p = 0; p < out[1]; ++p) {
      WindowSpan rows = window_span(p, in[1], pool.kernel, pool.stride, pool.padding);
      for (int64_t q = 0; q < out[2]; ++q) {
        WindowSpan columns = window_span(q, in[2], pool.kernel, pool.stride, pool.padding);
        auto inside = static_cast<double>((rows.end - rows.begin) * (columns.end - columns.begin));
        for (int64_t c = 0; c < out[3]; ++c) {
          double sum = 0;
          for (int64_t i = rows.begin; i < rows.end; ++i) {
            for (int64_t j = columns.begin; j < columns.end; ++j) {
              sum += x[((s * in[1] + i) * in[2] + j) * in[3] + c];
            }
          }
          y[((s * out[1] + p) * out[2] + q) * out[3] + c] = narrow<T>(sum / inside);
        }
      }
    }
  }
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& dy = activation_input(inputs, 0, "dy[N, OH, OW, C]", 4);
  Shape x = {dy.shape[0], integer_of_at_least(attributes, "height", 1),
             integer_of_at_least(attributes, "width", 1), dy.shape[3]};
  expect_input(inputs, 0, "dy[N, OH, OW, C]", {dy.dtype, pooled(x, pooling_of(attributes))});
  return {{dy.dtype, x}};
}

double backward_flops(const Graph& graph, const Node& node) {
  auto kernel = static_cast<double>(node.attributes.integer("kernel"));
  return static_cast<double>(graph.shape(node.inputs[0]).elements()) * (kernel * kernel + 1);
}

// Gathers: every pixel sums its share of the windows it lies in.
template <class T>
void backward_reference(const KernelCall& call) {
  Pooling pool = pooling_of(call.node.attributes);
  const Shape& out = call.input_shape(0);
  const Shape& in = call.output_shape(0);
  const T* dy = call.input<T>(0);
  T* dx = call.output<T>(0);
  for (int64_t s = 0; s < in[0]; ++s) {
    for (int64_t i = 0; i < in[1]; ++i) {
      for (int64_t j = 0; j < in[2]; ++j) {
        for (int64_t c = 0; c < in[3]; ++c) {
          double sum = 0;
          for (int64_t ki = 0; ki < pool.kernel; ++ki) {
            int64_t p = window_at(i, ki, out[1], pool.stride, pool.padding);
            if (p < 0) continue;
            WindowSpan rows = window_span(p, in[1], pool.kernel, pool.stride, pool.padding);
            for (int64_t kj = 0; kj < pool.kernel; ++kj) {
              int64_t q = window_at(j, kj, out[2], pool.stride, pool.padding);
              if (q < 0) continue;
              WindowSpan columns = window_span(q, in[2], pool.kernel, pool.stride, pool.padding);
              auto inside = static_cast<double>((rows.end - rows.begin) * (columns.end - columns.begin));
              sum += dy[((s * out[1] + p) * out[2] + q) * out[3] + c] / inside;
            }
          }
          dx[((s * in[1] + i) * in[2] + j) * in[3] + c] = static_cast<T>(sum);
        }
      }
    }
  }
}

std::vector<AttributeRule> pooling_attributes() {
  return {{"kernel", int64_t{2}, "extent of the window, both axes"},
          {"stride", int64_t{2}, "step of the window, both axes"},
          {"padding", int64_t{0}, "positions around the image, which do not count; below kernel"}};
}

}  // namespace

Op average_pool_op() {
  Op op;
  op.name = "average_pool";
  op.doc = "y = the mean of each window over its positions inside the image";
  op.inputs = {"x[N, H, W, C]"};
  op.outputs = {"y[N, OH, OW, C]"};
  op.attributes = pooling_attributes();
  op.shape = average_pool_shape;
  op.flops = average_pool_flops;
  op.gradient = average_pool_gradient;
  op.reference_float = average_pool_reference<float>;
  op.reference_double = average_pool_reference<double>;
  op.reference_bfloat16 = average_pool_reference<BFloat16>;
  op.reference_float16 = average_pool_reference<Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.samples = pooling_samples();
  return op;
}

Op average_pool_backward_op() {
  Op op;
  op.name = "average_pool_backward";
  op.doc = "The gradient of average_pool's input x[N, height, width, C]";
  op.inputs = {"dy[N, OH, OW, C]"};
  op.outputs = {"dx[N, H, W, C]"};
  op.attributes = pooling_attributes();
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
      {.inputs = {{2, 3, 4, 3}}, .attributes = {{"height", int64_t{7}}, {"width", int64_t{8}}}},
      {.inputs = {{3, 4, 4, 17}},
       .attributes = {{"kernel", int64_t{3}},
                      {"stride", int64_t{2}},
                      {"padding", int64_t{1}},
                      {"height", int64_t{7}},
                      {"width", int64_t{8}}}},
  };
  return op;
}

}  // namespace trireme
