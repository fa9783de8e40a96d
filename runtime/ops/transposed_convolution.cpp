// Transposed convolution (Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016,
// chapter 4): every input pixel adds its window of kernel values to the output. It is the data gradient of
// the convolution that goes the other way, and so its own data gradient is that convolution and its weight
// gradient that convolution's, with x and dy in each other's place; weights w[KH, KW, O, I] lie as that
// convolution has them.
#include "base/error.h"
#include "ops/ops.h"
#include "ops/references.h"
#include "ops/rules.h"
#include "ops/window.h"

namespace trireme {
namespace {

// The extent of y along an axis. Throws GraphError where the padding cuts everything away.
int64_t grown(int64_t extent, int64_t kernel, int64_t stride, int64_t padding, std::string_view axis) {
  int64_t result = (extent - 1) * stride - 2 * padding + kernel;
  if (result < 1) {
    throw GraphError("{} {} with kernel {}, stride {} and padding {} leave {} output positions", axis, extent,
                     kernel, stride, padding, result);
  }
  return result;
}

std::vector<TensorType> transposed_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& x = activation_input(inputs, 0, "x[N, H, W, I]", 4);
  const TensorType& w = activation_input(inputs, 1, "w[KH, KW, O, I]", 4);
  expect_input(inputs, 1, "w[KH, KW, O, I]", {x.dtype, {w.shape[0], w.shape[1], w.shape[2], x.shape[3]}});
  if (inputs[2]) expect_input(inputs, 2, "b[O]", {wide(x.dtype), {w.shape[2]}});
  int64_t stride = integer_of_at_least(attributes, "stride", 1);
  int64_t padding = integer_of_at_least(attributes, "padding", 0);
  return {{x.dtype,
           {x.shape[0], grown(x.shape[1], w.shape[0], stride, padding, "height"),
            grown(x.shape[2], w.shape[1], stride, padding, "width"), w.shape[2]}}};
}

double transposed_flops(const Graph& graph, const Node& node) {
  const Shape& w = graph.shape(node.inputs[1]);
  bool bias = node.inputs.size() > 2 && node.inputs[2] != no_id;
  return 2.0 * static_cast<double>(graph.shape(node.inputs[0]).elements()) *
             static_cast<double>(w[0] * w[1] * w[2]) +
         (bias ? output_elements(graph, node) : 0.0);
}

std::vector<ValueId> transposed_gradient(GraphWriter& writer, Node node, ValueId dy) {
  Shape w = writer.graph().shape(node.inputs[1]);
  Attribute stride = node.attributes.integer("stride"), padding = node.attributes.integer("padding");
  ValueId dx =
      writer.add_one("convolution", {dy, node.inputs[1], no_id}, {{"stride", stride}, {"padding", padding}});
  ValueId dw = writer.add_one("convolution_backward_weights", {node.inputs[0], dy},
                              {{"stride", stride},
                               {"padding", padding},
                               {"kernel_height", w[0]},
                               {"kernel_width", w[1]},
                               {"bias", int64_t{0}}});
  bool bias = node.inputs.size() > 2 && node.inputs[2] != no_id;
  return {dx, dw, bias ? writer.add_one("bias_backward", {dy}) : no_id};
}

// Gathers: every output pixel sums over the input pixels whose windows it lies in.
template <class T>
void transposed_reference(const KernelCall& call) {
  const Shape& x_shape = call.input_shape(0);
  const Shape& w_shape = call.input_shape(1);
  const Shape& y_shape = call.output_shape(0);
  int64_t height = x_shape[1], width = x_shape[2], inputs = x_shape[3], outputs = w_shape[2];
  int64_t stride = call.node.attributes.integer("stride"), padding = call.node.attributes.integer("padding");
  const T* x = call.input<T>(0);
  const T* w = call.input<T>(1);
  const auto* b = call.has_input(2) ? call.input<Wide<T>>(2) : nullptr;
  T* y = call.output<T>(0);
  for (int64_t s = 0; s < x_shape[0]; ++s) {
    for (int64_t p = 0; p < y_shape[1]; ++p) {
      for (int64_t q = 0; q < y_shape[2]; ++q) {
        for (int64_t o = 0; o < outputs; ++o) {
          double sum = b ? double{b[o]} : 0.0;
          for (int64_t ki = 0; ki < w_shape[0]; ++ki) {
            int64_t i = window_at(p, ki, height, stride, padding);
            for (int64_t kj = 0; i >= 0 && kj < w_shape[1]; ++kj) {
              int64_t j = window_at(q, kj, width, stride, padding);
              if (j < 0) continue;
              const T* pixel = x + ((s * height + i) * width + j) * inputs;
              const T* weights = w + ((ki * w_shape[1] + kj) * outputs + o) * inputs;
              for (int64_t c = 0; c < inputs; ++c) sum += double(pixel[c]) * double(weights[c]);
            }
          }
          y[((s * y_shape[1] + p) * y_shape[2] + q) * outputs + o] = narrow<T>(sum);
        }
      }
    }
  }
}

std::vector<TensorType> bias_shape(InputTypes inputs, const Attributes&) {
  const TensorType& dy = activation_input(inputs, 0, "dy[N, ..., C]", any_rank);
  if (dy.shape.rank() < 2) {
    throw GraphError("input 0 (dy[N, ..., C]) must have two or more axes, got {}", describe(dy));
  }
  return {{wide(dy.dtype), {dy.shape.back()}}};
}

template <class T>
void bias_reference(const KernelCall& call) {
  int64_t channels = call.output_shape(0)[0], rows = call.input_shape(0).elements() / channels;
  const T* dy = call.input<T>(0);
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (int64_t r = 0; r < rows; ++r) sum += double(dy[r * channels + c]);
    call.output<Wide<T>>(0)[c] = static_cast<Wide<T>>(sum);
  }
}

}  // namespace

Op transposed_convolution_op() {
  Op op;
  op.name = "transposed_convolution";
  op.doc =
      "y[n, i*stride-padding+a, j*stride-padding+b, o] = bias[o] + the sum over all such i, j, a, b and over "
      "c of x[n, i, "
      "j, c] w[a, b, o, c]; OH = (H-1)*stride - 2*padding + KH";
  op.inputs = {"x[N, H, W, I]", "w[KH, KW, O, I]", "b[O]"};
  op.outputs = {"y[N, OH, OW, O]"};
  op.required_inputs = 2;
  op.max_inputs = 3;
  op.attributes = {{"stride", int64_t{1}, "distance of neighbouring input pixels in the output, both axes"},
                   {"padding", int64_t{0}, "rows and columns cut from the output, all four sides"}};
  op.shape = transposed_shape;
  op.flops = transposed_flops;
  op.gradient = transposed_gradient;
  set_references(op, []<class T>(const KernelCall& call) { transposed_reference<T>(call); });
  op.precision = Precision::low;
  op.half_inputs = {0, 1};
  op.samples = {
      {.inputs = {{2, 3, 5, 3}, {3, 3, 4, 3}, {4}}},
      {.inputs = {{2, 4, 3, 5}, {4, 4, 3, 5}, {3}},
       .attributes = {{"stride", int64_t{2}}, {"padding", int64_t{1}}}},
      {.inputs = {{1, 3, 2, 17}, {3, 2, 1, 17}, {}}, .attributes = {{"stride", int64_t{3}}}, .absent = {2}},
  };
  return op;
}

Op bias_backward_op() {
  Op op;
  op.name = "bias_backward";
  op.doc = "db = the sum of dy over all axes but the last: the gradient of a bias of its own";
  op.inputs = {"dy[N, ..., C]"};
  op.outputs = {"db[C]"};
  op.shape = bias_shape;
  op.flops = [](const Graph& graph, const Node& node) {
    return static_cast<double>(graph.shape(node.inputs[0]).elements());
  };
  set_references(op, []<class T>(const KernelCall& call) { bias_reference<T>(call); });
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.samples = {{.inputs = {{3, 7}}}, {.inputs = {{2, 5, 3, 17}}}};
  return op;
}

}  // namespace trireme
