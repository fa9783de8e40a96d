// Mean over all pixels of an image, by channel.
#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

std::vector<TensorType> pool_shape(InputTypes inputs, const Attributes&) {
  const TensorType& x = activation_input(inputs, 0, "x[N, H, W, C]", 4);
  return {{x.dtype, {x.shape[0], x.shape[3]}}};
}

double pool_flops(const Graph& graph, const Node& node) {
  return static_cast<double>(graph.shape(node.inputs[0]).elements()) + output_elements(graph, node);
}

std::vector<ValueId> pool_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  Shape x = writer.graph().shape(node.inputs[0]);
  return {
      writer.add_one("global_average_pool_backward", {output_gradient}, {{"height", x[1]}, {"width", x[2]}})};
}

template <class T>
void pool_reference(const KernelCall& call) {
  const Shape& in = call.input_shape(0);
  int64_t pixels = in[1] * in[2], channels = in[3];
  const T* x = call.input<T>(0);
  T* y = call.output<T>(0);
  for (int64_t s = 0; s < in[0]; ++s) {
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0;
      for (int64_t p = 0; p < pixels; ++p) sum += x[(s * pixels + p) * channels + c];
      y[s * channels + c] = static_cast<T>(sum / static_cast<double>(pixels));
    }
  }
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& dy = activation_input(inputs, 0, "dy[N, C]", 2);
  int64_t height = integer_of_at_least(attributes, "height", 1);
  int64_t width = integer_of_at_least(attributes, "width", 1);
  return {{dy.dtype, {dy.shape[0], height, width, dy.shape[1]}}};
}

template <class T>
void backward_reference(const KernelCall& call) {
  const Shape& in = call.output_shape(0);
  int64_t pixels = in[1] * in[2], channels = in[3];
  const T* dy = call.input<T>(0);
  T* dx = call.output<T>(0);
  for (int64_t s = 0; s < in[0]; ++s) {
    for (int64_t p = 0; p < pixels; ++p) {
      for (int64_t c = 0; c < channels; ++c) {
        dx[(s * pixels + p) * channels + c] =
            static_cast<T>(double{dy[s * channels + c]} / static_cast<double>(pixels));
      }
    }
  }
}

}  // namespace

Op global_average_pool_op() {
  Op op;
  op.name = "global_average_pool";
  op.doc = "y = the mean over all pixels of an image, by channel";
  op.inputs = {"x[N, H, W, C]"};
  op.outputs = {"y[N, C]"};
  op.shape = pool_shape;
  op.flops = pool_flops;
  op.gradient = pool_gradient;
  op.reference_float = pool_reference<float>;
  op.reference_double = pool_reference<double>;
  op.reference_bfloat16 = pool_reference<BFloat16>;
  op.reference_float16 = pool_reference<Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.samples = {{.inputs = {{2, 3, 5, 7}}}, {.inputs = {{1, 1, 1, 17}}}};
  return op;
}

Op global_average_pool_backward_op() {
  Op op;
  op.name = "global_average_pool_backward";
  op.doc = "The gradient of global_average_pool's input x[N, height, width, C]: dy spread evenly";
  op.inputs = {"dy[N, C]"};
  op.outputs = {"dx[N, H, W, C]"};
  op.attributes = {{"height", int64_t{0}, "of x; must be given"},
                   {"width", int64_t{0}, "of x; must be given"}};
  op.shape = backward_shape;
  op.flops = output_elements;
  op.reference_float = backward_reference<float>;
  op.reference_double = backward_reference<double>;
  op.reference_bfloat16 = backward_reference<BFloat16>;
  op.reference_float16 = backward_reference<Float16>;
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.samples = {{.inputs = {{2, 7}}, .attributes = {{"height", int64_t{3}}, {"width", int64_t{5}}}}};
  return op;
}

}  // namespace trireme
