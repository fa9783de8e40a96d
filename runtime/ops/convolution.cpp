// Two-dimensional convolution (cross-correlation, as the field has it), channels last, with an optional fused
// relu, and its two gradients.
#include "ops/ops.h"
#include "ops/rules.h"
#include "ops/window.h"

namespace trireme {
namespace {

// All extents of one convolution, from whichever tensors and attributes are at hand.
struct Geometry {
  int64_t n, h, w, c;  // x[n, h, w, c]
  int64_t kh, kw, o;   // w[kh, kw, c, o]
  int64_t oh, ow;      // y[n, oh, ow, o]
  int64_t stride, padding;

  double flops() const {
    return 2.0 * static_cast<double>(n * oh * ow) * static_cast<double>(o) * static_cast<double>(kh * kw * c);
  }
  int64_t x_at(int64_t s, int64_t i, int64_t j) const { return ((s * h + i) * w + j) * c; }
  int64_t w_at(int64_t i, int64_t j, int64_t channel) const { return ((i * kw + j) * c + channel) * o; }
  int64_t y_at(int64_t s, int64_t i, int64_t j) const { return ((s * oh + i) * ow + j) * o; }
};

Geometry geometry(const Shape& x, const Shape& w, const Shape& y, const Attributes& attributes) {
  return {x[0],
          x[1],
          x[2],
          x[3],
          w[0],
          w[1],
          w[3],
          y[1],
          y[2],
          attributes.integer("stride"),
          attributes.integer("padding")};
}

// The shape of y; checks stride and padding.
Shape convolved(const Shape& x, const Shape& w, const Attributes& attributes) {
  int64_t stride = integer_of_at_least(attributes, "stride", 1);
  int64_t padding = integer_of_at_least(attributes, "padding", 0);
  return {x[0], window_positions(x[1], w[0], stride, padding, "height"),
          window_positions(x[2], w[1], stride, padding, "width"), w[3]};
}

std::vector<TensorType> convolution_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& x = activation_input(inputs, 0, "x[N, H, W, C]", 4);
  const TensorType& w = activation_input(inputs, 1, "w[KH, KW, C, O]", 4);
  expect_input(inputs, 1, "w[KH, KW, C, O]", {x.dtype, {w.shape[0], w.shape[1], x.shape[3], w.shape[3]}});
  if (inputs[2]) expect_input(inputs, 2, "b[O]", {wide(x.dtype), {w.shape[3]}});
  flag(attributes, "relu");
  return {{x.dtype, convolved(x.shape, w.shape, attributes)}};
}

double convolution_flops(const Graph& graph, const Node& node) {
  Geometry g = geometry(graph.shape(node.inputs[0]), graph.shape(node.inputs[1]),
                        graph.shape(node.outputs[0]), node.attributes);
  bool bias = node.inputs.size() > 2 && node.inputs[2] != no_id;
  int extra = (bias ? 1 : 0) + (flag(node.attributes, "relu") ? 1 : 0);
  return g.flops() + extra * output_elements(graph, node);
}

std::vector<ValueId> convolution_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  bool bias = node.inputs.size() > 2 && node.inputs[2] != no_id;
  Shape x = writer.graph().shape(node.inputs[0]);
  Shape w = writer.graph().shape(node.inputs[1]);
  Attribute stride = node.attributes.integer("stride"), padding = node.attributes.integer("padding");
  ValueId dy = gradient_before_relu(writer, node, output_gradient);
  ValueId dx = writer.add_one("convolution_backward_data", {dy, node.inputs[1]},
                              {{"stride", stride}, {"padding", padding}, {"height", x[1]}, {"width", x[2]}});
  auto weights = writer.add("convolution_backward_weights", {dy, node.inputs[0]},
                            {{"stride", stride},
                             {"padding", padding},
                             {"kernel_height", w[0]},
                             {"kernel_width", w[1]},
                             {"bias", int64_t{bias}}});
  return {dx, weights[0], bias ? weights[1] : no_id};
}

template <class T>
void convolution_reference(const KernelCall& call) {
  Geometry g = geometry(call.input_shape(0), call.input_shape(1), call.output_shape(0), call.node.attributes);
  const T* x = call.input<T>(0);
  const T* w = call.input<T>(1);
  const Wide<T>* b = call.has_input(2) ? call.input<Wide<T>>(2) : nullptr;
  T* y = call.output<T>(0);
  bool relu = flag(call.node.attributes, "relu");
  for (int64_t s = 0; s < g.n; ++s) {
    for (int64_t p = 0; p < g.oh; ++p) {
      WindowSpan rows = window_span(p, g.h, g.kh, g.stride, g.padding);
      for (int64_t q = 0; q < g.ow; ++q) {
        WindowSpan columns = window_span(q, g.w, g.kw, g.stride, g.padding);
        for (int64_t o = 0; o < g.o; ++o) {
          double sum = b ? b[o] : 0;
          for (int64_t i = rows.begin; i < rows.end; ++i) {
            for (int64_t j = columns.begin; j < columns.end; ++j) {
              const T* pixel = x + g.x_at(s, i, j);
              int64_t ki = i - rows.begin + rows.skipped, kj = j - columns.begin + columns.skipped;
              for (int64_t c = 0; c < g.c; ++c) sum += double{pixel[c]} * double{w[g.w_at(ki, kj, c) + o]};
            }
          }
          y[g.y_at(s, p, q) + o] = static_cast<T>(relu && sum < 0 ? 0 : sum);
        }
      }
    }
  }
}

std::vector<TensorType> data_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& dy = activation_input(inputs, 0, "dy[N, OH, OW, O]", 4);
  const TensorType& w = activation_input(inputs, 1, "w[KH, KW, C, O]", 4);
  int64_t height = integer_of_at_least(attributes, "height", 1);
  int64_t width = integer_of_at_least(attributes, "width", 1);
  Shape x = {dy.shape[0], height, width, w.shape[2]};
  expect_input(inputs, 0, "dy[N, OH, OW, O]", {w.dtype, convolved(x, w.shape, attributes)});
  return {{dy.dtype, x}};
}

double data_flops(const Graph& graph, const Node& node) {
  return geometry(graph.shape(node.outputs[0]), graph.shape(node.inputs[1]), graph.shape(node.inputs[0]),
                  node.attributes)
      .flops();
}

// Gathers: every input pixel sums over the windows it lies in.
template <class T>
void data_reference(const KernelCall& call) {
  Geometry g = geometry(call.output_shape(0), call.input_shape(1), call.input_shape(0), call.node.attributes);
  const T* dy = call.input<T>(0);
  const T* w = call.input<T>(1);
  T* dx = call.output<T>(0);
  for (int64_t s = 0; s < g.n; ++s) {
    for (int64_t i = 0; i < g.h; ++i) {
      for (int64_t j = 0; j < g.w; ++j) {
        for (int64_t c = 0; c < g.c; ++c) {
          double sum = 0;
          for (int64_t ki = 0; ki < g.kh; ++ki) {
            int64_t p = window_at(i, ki, g.oh, g.stride, g.padding);
            for (int64_t kj = 0; p >= 0 && kj < g.kw; ++kj) {
              int64_t q = window_at(j, kj, g.ow, g.stride, g.padding);
              if (q < 0) continue;
              const T* gradient = dy + g.y_at(s, p, q);
              for (int64_t o = 0; o < g.o; ++o) sum += double{gradient[o]} * double{w[g.w_at(ki, kj, c) + o]};
            }
          }
          dx[g.x_at(s, i, j) + c] = static_cast<T>(sum);
        }
      }
    }
  }
}

std::vector<TensorType> weights_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& dy = activation_input(inputs, 0, "dy[N, OH, OW, O]", 4);
  const TensorType& x = activation_input(inputs, 1, "x[N, H, W, C]", 4);
  Shape w = {integer_of_at_least(attributes, "kernel_height", 1),
             integer_of_at_least(attributes, "kernel_width", 1), x.shape[3], dy.shape[3]};
  expect_input(inputs, 0, "dy[N, OH, OW, O]", {x.dtype, convolved(x.shape, w, attributes)});
  std::vector<TensorType> types = {{wide(dy.dtype), w}};
  if (flag(attributes, "bias")) types.push_back({wide(dy.dtype), {dy.shape[3]}});
  return types;
}

double weights_flops(const Graph& graph, const Node& node) {
  const Shape& dy = graph.shape(node.inputs[0]);
  Geometry g = geometry(graph.shape(node.inputs[1]), graph.shape(node.outputs[0]), dy, node.attributes);
  return g.flops() + (flag(node.attributes, "bias") ? static_cast<double>(dy.elements()) : 0.0);
}

template <class T>
void weights_reference(const KernelCall& call) {
  Geometry g = geometry(call.input_shape(1), call.output_shape(0), call.input_shape(0), call.node.attributes);
  const T* dy = call.input<T>(0);
  const T* x = call.input<T>(1);
  auto* dw = call.output<Wide<T>>(0);
  for (int64_t ki = 0; ki < g.kh; ++ki) {
    for (int64_t kj = 0; kj < g.kw; ++kj) {
      for (int64_t c = 0; c < g.c; ++c) {
        for (int64_t o = 0; o < g.o; ++o) {
          double sum = 0;
          for (int64_t s = 0; s < g.n; ++s) {
            for (int64_t p = 0; p < g.oh; ++p) {
              int64_t i = p * g.stride - g.padding + ki;
              if (i < 0 || i >= g.h) continue;
              for (int64_t q = 0; q < g.ow; ++q) {
                int64_t j = q * g.stride - g.padding + kj;
                if (j < 0 || j >= g.w) continue;
                sum += double{x[g.x_at(s, i, j) + c]} * double{dy[g.y_at(s, p, q) + o]};
              }
            }
          }
          dw[g.w_at(ki, kj, c) + o] = static_cast<Wide<T>>(sum);
        }
      }
    }
  }
  if (!flag(call.node.attributes, "bias")) return;
  auto* db = call.output<Wide<T>>(1);
  for (int64_t o = 0; o < g.o; ++o) {
    double sum = 0;
    for (int64_t position = 0; position < g.n * g.oh * g.ow; ++position) sum += dy[position * g.o + o];
    db[o] = static_cast<Wide<T>>(sum);
  }
}

AttributeRule stride_attribute() { return {"stride", int64_t{1}, "step of the window, both axes"}; }
AttributeRule padding_attribute() {
  return {"padding", int64_t{0}, "zeros around the image, all four sides"};
}

}  // namespace

Op convolution_op() {
  Op op;
  op.name = "convolution";
  op.doc =
      "y[n, p, q, o] = b[o] + the sum over i, j, c of x[n, p*stride-padding+i, q*stride-padding+j, c] w[i, "
      "j, c, o]";
  op.inputs = {"x[N, H, W, C]", "w[KH, KW, C, O]", "b[O]"};
  op.outputs = {"y[N, OH, OW, O]"};
  op.required_inputs = 2;
  op.max_inputs = 3;
  op.attributes = {stride_attribute(), padding_attribute(), relu_attribute()};
  op.shape = convolution_shape;
  op.flops = convolution_flops;
  op.gradient = convolution_gradient;
  op.reference_float = convolution_reference<float>;
  op.reference_double = convolution_reference<double>;
  op.reference_bfloat16 = convolution_reference<BFloat16>;
  op.reference_float16 = convolution_reference<Float16>;
  op.precision = Precision::low;
  op.half_inputs = {0, 1};
  op.samples = {
      {.inputs = {{2, 5, 7, 3}, {3, 3, 3, 5}, {5}}},
      {.inputs = {{1, 6, 5, 1}, {5, 5, 1, 6}, {6}}, .attributes = {{"padding", int64_t{2}}}},
      {.inputs = {{3, 7, 8, 2}, {3, 2, 2, 3}, {}},
       .attributes = {{"stride", int64_t{2}}, {"padding", int64_t{1}}, {"relu", int64_t{1}}},
       .absent = {2}},
      {.inputs = {{2, 4, 4, 17}, {1, 1, 17, 9}, {9}}, .attributes = {{"relu", int64_t{1}}}},
      {.inputs = {{2, 5, 5, 3}, {2, 2, 3, 4}, {4}},
       .attributes = {{"stride", int64_t{3}}, {"padding", int64_t{2}}}},
  };
  return op;
}

Op convolution_backward_data_op() {
  Op op;
  op.name = "convolution_backward_data";
  op.doc = "The gradient of convolution's input x[N, height, width, C]";
  op.inputs = {"dy[N, OH, OW, O]", "w[KH, KW, C, O]"};
  op.outputs = {"dx[N, H, W, C]"};
  op.required_inputs = op.max_inputs = 2;
  op.attributes = {stride_attribute(),
                   padding_attribute(),
                   {"height", int64_t{0}, "of x; must be given"},
                   {"width", int64_t{0}, "of x; must be given"}};
  op.shape = data_shape;
  op.flops = data_flops;
  op.reference_float = data_reference<float>;
  op.reference_double = data_reference<double>;
  op.reference_bfloat16 = data_reference<BFloat16>;
  op.reference_float16 = data_reference<Float16>;
  op.precision = Precision::low;
  op.half_inputs = {0, 1};
  op.samples = {
      {.inputs = {{2, 3, 5, 5}, {3, 3, 3, 5}}, .attributes = {{"height", int64_t{5}}, {"width", int64_t{7}}}},
      {.inputs = {{3, 4, 5, 3}, {3, 2, 2, 3}},
       .attributes =
           {{"stride", int64_t{2}}, {"padding", int64_t{1}}, {"height", int64_t{7}}, {"width", int64_t{8}}}},
      {.inputs = {{1, 8, 8, 6}, {5, 5, 1, 6}},
       .attributes = {{"padding", int64_t{2}}, {"height", int64_t{8}}, {"width", int64_t{8}}}},
  };
  return op;
}

Op convolution_backward_weights_op() {
  Op op;
  op.name = "convolution_backward_weights";
  op.doc = "The gradients of convolution's weights w[kernel_height, kernel_width, C, O] and bias";
  op.inputs = {"dy[N, OH, OW, O]", "x[N, H, W, C]"};
  op.outputs = {"dw[KH, KW, C, O]", "db[O]"};
  op.required_inputs = op.max_inputs = 2;
  op.attributes = {stride_attribute(),
                   padding_attribute(),
                   {"kernel_height", int64_t{0}, "of w; must be given"},
                   {"kernel_width", int64_t{0}, "of w; must be given"},
                   {"bias", int64_t{1}, "0: there is no db"}};
  op.shape = weights_shape;
  op.flops = weights_flops;
  op.reference_float = weights_reference<float>;
  op.reference_double = weights_reference<double>;
  op.reference_bfloat16 = weights_reference<BFloat16>;
  op.reference_float16 = weights_reference<Float16>;
  op.precision = Precision::low;
  op.half_inputs = {0, 1};
  op.samples = {
      {.inputs = {{2, 3, 5, 5}, {2, 5, 7, 3}},
       .attributes = {{"kernel_height", int64_t{3}}, {"kernel_width", int64_t{3}}}},
      {.inputs = {{3, 4, 5, 3}, {3, 7, 8, 2}},
       .attributes = {{"stride", int64_t{2}},
                      {"padding", int64_t{1}},
                      {"kernel_height", int64_t{3}},
                      {"kernel_width", int64_t{2}},
                      {"bias", int64_t{0}}}},
      {.inputs = {{1, 8, 8, 6}, {1, 8, 8, 1}},
       .attributes = {{"padding", int64_t{2}}, {"kernel_height", int64_t{5}}, {"kernel_width", int64_t{5}}}},
  };
  return op;
}

}  // namespace trireme
