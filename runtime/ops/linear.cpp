// y = x w + b over the last axis, with an optional fused relu, and its two gradients.
#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

// Extents of the product: rows are the leading axes of x taken together.
struct Extents {
  int64_t rows, in, out;
};

bool is_transposed(const Node& node) { return flag(node.attributes, "transposed"); }

Shape with_last(Shape shape, int64_t last) {
  shape[shape.rank() - 1] = last;
  return shape;
}

// The weights' layout: [I, O], or [O, I] where transposed.
std::string_view weight_layout(bool transposed) { return transposed ? "w[O, I]" : "w[I, O]"; }
Shape weight_shape(bool transposed, int64_t in, int64_t out) {
  return transposed ? Shape{out, in} : Shape{in, out};
}

std::vector<TensorType> linear_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& x = rows_input(inputs, 0, "x[..., I]");
  bool transposed = flag(attributes, "transposed");
  const TensorType& w = activation_input(inputs, 1, weight_layout(transposed), 2);
  int64_t out = w.shape[transposed ? 0 : 1];
  expect_input(inputs, 1, weight_layout(transposed),
               {x.dtype, weight_shape(transposed, x.shape.back(), out)});
  if (inputs[2]) expect_input(inputs, 2, "b[O]", {wide(x.dtype), {out}});
  flag(attributes, "relu");
  return {{x.dtype, with_last(x.shape, out)}};
}

double linear_flops(const Graph& graph, const Node& node) {
  double outputs = output_elements(graph, node);
  bool bias = node.inputs.size() > 2 && node.inputs[2] != no_id;
  double each = 2.0 * static_cast<double>(graph.shape(node.inputs[0]).back()) + (bias ? 1 : 0) +
                (flag(node.attributes, "relu") ? 1 : 0);
  return outputs * each;
}

std::vector<ValueId> linear_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  bool bias = node.inputs.size() > 2 && node.inputs[2] != no_id;
  int64_t transposed = node.attributes.integer("transposed");
  ValueId dy = gradient_before_relu(writer, node, output_gradient);
  ValueId dx = writer.add_one("linear_backward_data", {dy, node.inputs[1]}, {{"transposed", transposed}});
  auto weights = writer.add("linear_backward_weights", {dy, node.inputs[0]},
                            {{"bias", int64_t{bias}}, {"transposed", transposed}});
  return {dx, weights[0], bias ? weights[1] : no_id};
}

// Position of weight (i, o) in memory.
struct WeightIndex {
  WeightIndex(bool transposed, const Extents& e)
      : step_in(transposed ? 1 : e.out), step_out(transposed ? e.in : 1) {}
  int64_t operator()(int64_t i, int64_t o) const { return i * step_in + o * step_out; }
  int64_t step_in, step_out;
};

Extents extents_of(const Shape& x, const Shape& y) { return {x.elements() / x.back(), x.back(), y.back()}; }

template <class T>
void linear_reference(const KernelCall& call) {
  Extents e = extents_of(call.input_shape(0), call.output_shape(0));
  WeightIndex at(is_transposed(call.node), e);
  const T* x = call.input<T>(0);
  const T* w = call.input<T>(1);
  const Wide<T>* b = call.has_input(2) ? call.input<Wide<T>>(2) : nullptr;
  T* y = call.output<T>(0);
  bool relu = flag(call.node.attributes, "relu");
  for (int64_t s = 0; s < e.rows; ++s) {
    for (int64_t o = 0; o < e.out; ++o) {
      double sum = b ? b[o] : 0;
      for (int64_t i = 0; i < e.in; ++i) sum += double{x[s * e.in + i]} * double{w[at(i, o)]};
      y[s * e.out + o] = narrow<T>(relu && sum < 0 ? 0 : sum);
    }
  }
}

std::vector<TensorType> data_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& dy = rows_input(inputs, 0, "dy[..., O]");
  bool transposed = flag(attributes, "transposed");
  const TensorType& w = activation_input(inputs, 1, weight_layout(transposed), 2);
  int64_t in = w.shape[transposed ? 1 : 0];
  expect_input(inputs, 1, weight_layout(transposed),
               {dy.dtype, weight_shape(transposed, in, dy.shape.back())});
  return {{dy.dtype, with_last(dy.shape, in)}};
}

double data_flops(const Graph& graph, const Node& node) {
  return 2.0 * output_elements(graph, node) * static_cast<double>(graph.shape(node.inputs[0]).back());
}

template <class T>
void data_reference(const KernelCall& call) {
  Extents e = extents_of(call.output_shape(0), call.input_shape(0));
  WeightIndex at(is_transposed(call.node), e);
  const T* dy = call.input<T>(0);
  const T* w = call.input<T>(1);
  T* dx = call.output<T>(0);
  for (int64_t s = 0; s < e.rows; ++s) {
    for (int64_t i = 0; i < e.in; ++i) {
      double sum = 0;
      for (int64_t o = 0; o < e.out; ++o) sum += double{dy[s * e.out + o]} * double{w[at(i, o)]};
      dx[s * e.in + i] = narrow<T>(sum);
    }
  }
}

std::vector<TensorType> weights_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& dy = rows_input(inputs, 0, "dy[..., O]");
  const TensorType& x = rows_input(inputs, 1, "x[..., I]");
  expect_input(inputs, 1, "x[..., I]", {dy.dtype, with_last(dy.shape, x.shape.back())});
  bool transposed = flag(attributes, "transposed");
  DType type = wide(dy.dtype);
  std::vector<TensorType> types = {{type, weight_shape(transposed, x.shape.back(), dy.shape.back())}};
  if (flag(attributes, "bias")) types.push_back({type, {dy.shape.back()}});
  return types;
}

double weights_flops(const Graph& graph, const Node& node) {
  const Shape& dy = graph.shape(node.inputs[0]);
  double rows = static_cast<double>(dy.elements()) / static_cast<double>(dy.back());
  double products = 2.0 * output_elements(graph, node) * rows;
  return products + (flag(node.attributes, "bias") ? static_cast<double>(dy.elements()) : 0.0);
}

template <class T>
void weights_reference(const KernelCall& call) {
  Extents e = extents_of(call.input_shape(1), call.input_shape(0));
  WeightIndex at(is_transposed(call.node), e);
  const T* dy = call.input<T>(0);
  const T* x = call.input<T>(1);
  auto* dw = call.output<Wide<T>>(0);
  for (int64_t i = 0; i < e.in; ++i) {
    for (int64_t o = 0; o < e.out; ++o) {
      double sum = 0;
      for (int64_t s = 0; s < e.rows; ++s) sum += double{x[s * e.in + i]} * double{dy[s * e.out + o]};
      dw[at(i, o)] = static_cast<Wide<T>>(sum);
    }
  }
  if (!flag(call.node.attributes, "bias")) return;
  auto* db = call.output<Wide<T>>(1);
  for (int64_t o = 0; o < e.out; ++o) {
    double sum = 0;
    for (int64_t s = 0; s < e.rows; ++s) sum += double{dy[s * e.out + o]};
    db[o] = static_cast<Wide<T>>(sum);
  }
}

AttributeRule transposed_attribute() {
  return {"transposed", int64_t{0}, "1: the weights lie as [O, I] (a head tied to an embedding's weights)"};
}

}  // namespace

Op linear_op() {
  Op op;
  op.name = "linear";
  op.doc = "y = x w + b over the last axis, the fully connected layer; the other axes are rows";
  op.inputs = {"x[..., I]", "w[I, O]", "b[O]"};
  op.outputs = {"y[..., O]"};
  op.required_inputs = 2;
  op.max_inputs = 3;
  op.attributes = {relu_attribute(), transposed_attribute()};
  op.precision = Precision::low;
  op.half_inputs = {0, 1};
  op.shape = linear_shape;
  op.flops = linear_flops;
  op.gradient = linear_gradient;
  op.reference_float = linear_reference<float>;
  op.reference_double = linear_reference<double>;
  op.reference_bfloat16 = linear_reference<BFloat16>;
  op.reference_float16 = linear_reference<Float16>;
  op.samples = {
      {.inputs = {{3, 5}, {5, 7}, {7}}},
      {.inputs = {{1, 9}, {9, 2}, {}}, .absent = {2}},
      {.inputs = {{4, 6}, {6, 5}, {5}}, .attributes = {{"relu", int64_t{1}}}},
      {.inputs = {{33, 17}, {17, 19}, {}}, .attributes = {{"relu", int64_t{1}}}, .absent = {2}},
      {.inputs = {{2, 3, 5}, {5, 7}, {7}}},
      {.inputs = {{2, 7, 9}, {13, 9}, {}}, .attributes = {{"transposed", int64_t{1}}}, .absent = {2}},
      {.inputs = {{3, 5}, {7, 5}, {7}}, .attributes = {{"relu", int64_t{1}}, {"transposed", int64_t{1}}}},
  };
  return op;
}

Op linear_backward_data_op() {
  Op op;
  op.name = "linear_backward_data";
  op.doc = "dx = dy w^T, the gradient of linear's input";
  op.inputs = {"dy[..., O]", "w[I, O]"};
  op.outputs = {"dx[..., I]"};
  op.required_inputs = op.max_inputs = 2;
  op.attributes = {transposed_attribute()};
  op.precision = Precision::low;
  op.half_inputs = {0, 1};
  op.shape = data_shape;
  op.flops = data_flops;
  op.reference_float = data_reference<float>;
  op.reference_double = data_reference<double>;
  op.reference_bfloat16 = data_reference<BFloat16>;
  op.reference_float16 = data_reference<Float16>;
  op.samples = {{.inputs = {{3, 7}, {5, 7}}},
                {.inputs = {{33, 1}, {17, 1}}},
                {.inputs = {{2, 3, 7}, {5, 7}}},
                {.inputs = {{2, 9, 3}, {3, 17}}, .attributes = {{"transposed", int64_t{1}}}}};
  return op;
}

Op linear_backward_weights_op() {
  Op op;
  op.name = "linear_backward_weights";
  op.doc = "dw = x^T dy and db = the sum of dy over rows, the gradients of linear's weights and bias";
  op.inputs = {"dy[..., O]", "x[..., I]"};
  op.outputs = {"dw[I, O]", "db[O]"};
  op.required_inputs = op.max_inputs = 2;
  op.attributes = {{"bias", int64_t{1}, "0: there is no db"}, transposed_attribute()};
  op.precision = Precision::low;
  op.half_inputs = {0, 1};
  op.shape = weights_shape;
  op.flops = weights_flops;
  op.reference_float = weights_reference<float>;
  op.reference_double = weights_reference<double>;
  op.reference_bfloat16 = weights_reference<BFloat16>;
  op.reference_float16 = weights_reference<Float16>;
  op.samples = {{.inputs = {{3, 7}, {3, 5}}},
                {.inputs = {{33, 19}, {33, 17}}, .attributes = {{"bias", int64_t{0}}}},
                {.inputs = {{2, 3, 7}, {2, 3, 5}}},
                {.inputs = {{2, 9, 7}, {2, 9, 5}}, .attributes = {{"transposed", int64_t{1}}}}};
  return op;
}

}  // namespace trireme
