// Rows of a table by token, plus a row of a second table by position: how text enters a net (learned
// positions as in Gehring et al., arXiv 1705.03122).
#include "base/error.h"
#include "graph/index_checks.h"
#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

const TensorType& tokens_input(InputTypes inputs, size_t i) {
  if (i >= inputs.size() || !inputs[i]) throw GraphError("input {} (tokens[N, T]) is absent", i);
  const TensorType& tokens = *inputs[i];
  if (tokens.dtype != DType::int32 || tokens.shape.rank() != 2) {
    throw GraphError("input {} (tokens[N, T]) must be int32 of 2 axes, got {}", i, describe(tokens));
  }
  return tokens;
}

std::vector<TensorType> embedding_shape(InputTypes inputs, const Attributes&) {
  const TensorType& tokens = tokens_input(inputs, 0);
  const TensorType& weight = floating_input(inputs, 1, "weight[V, C]", 2);
  if (inputs[2]) {
    const TensorType& positions = floating_input(inputs, 2, "positions[P, C]", 2);
    expect_input(inputs, 2, "positions[P, C]", {weight.dtype, {positions.shape[0], weight.shape[1]}});
    if (positions.shape[0] < tokens.shape[1]) {
      throw GraphError("input 2 (positions[P, C]) has {} positions, but the tokens have {}",
                       positions.shape[0], tokens.shape[1]);
    }
  }
  return {{weight.dtype, {tokens.shape[0], tokens.shape[1], weight.shape[1]}}};
}

// The additions of positions; copying a row is none.
double embedding_flops(const Graph& graph, const Node& node) {
  bool positions = node.inputs.size() > 2 && node.inputs[2] != no_id;
  return positions ? output_elements(graph, node) : 0;
}

std::vector<ValueId> embedding_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  bool positions = node.inputs.size() > 2 && node.inputs[2] != no_id;
  int64_t extent = positions ? writer.graph().shape(node.inputs[2])[0] : 0;
  auto gradients =
      writer.add("embedding_backward", {output_gradient, node.inputs[0]},
                 {{"vocabulary", writer.graph().shape(node.inputs[1])[0]}, {"positions", extent}});
  return {no_id, gradients[0], positions ? gradients[1] : no_id};
}

template <class T>
void embedding_reference(const KernelCall& call) {
  int64_t samples = call.input_shape(0)[0], length = call.input_shape(0)[1];
  int64_t vocabulary = call.input_shape(1)[0], channels = call.input_shape(1)[1];
  const T* weight = call.input<T>(1);
  const T* positions = call.has_input(2) ? call.input<T>(2) : nullptr;
  for (int64_t s = 0; s < samples; ++s) {
    for (int64_t t = 0; t < length; ++t) {
      int32_t token = call.input<int32_t>(0)[s * length + t];
      check_token(token, vocabulary, s, t, call.scalars);
      T* y = call.output<T>(0) + (s * length + t) * channels;
      for (int64_t c = 0; c < channels; ++c) {
        y[c] = weight[token * channels + c] + (positions ? positions[t * channels + c] : T{0});
      }
    }
  }
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& dy = floating_input(inputs, 0, "dy[N, T, C]", 3);
  expect_input(inputs, 1, "tokens[N, T]", {DType::int32, {dy.shape[0], dy.shape[1]}});
  int64_t vocabulary = integer_of_at_least(attributes, "vocabulary", 1);
  int64_t positions = integer_of_at_least(attributes, "positions", 0);
  std::vector<TensorType> types = {{dy.dtype, {vocabulary, dy.shape[2]}}};
  if (positions == 0) return types;
  if (positions < dy.shape[1]) {
    throw GraphError("attribute 'positions' must be 0 or at least {}, the length of dy, got {}", dy.shape[1],
                     positions);
  }
  types.push_back({dy.dtype, {positions, dy.shape[2]}});
  return types;
}

double backward_flops(const Graph& graph, const Node& node) {
  auto elements = static_cast<double>(graph.shape(node.inputs[0]).elements());
  return elements * (node.attributes.integer("positions") > 0 ? 2 : 1);
}

// Sums run over tokens in the order in which they lie.
template <class T>
void backward_reference(const KernelCall& call) {
  int64_t samples = call.input_shape(0)[0], length = call.input_shape(0)[1],
          channels = call.input_shape(0)[2];
  const T* dy = call.input<T>(0);
  const int32_t* tokens = call.input<int32_t>(1);
  for (int64_t v = 0; v < call.output_shape(0)[0]; ++v) {
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0;
      for (int64_t at = 0; at < samples * length; ++at) {
        if (tokens[at] == v) sum += dy[at * channels + c];
      }
      call.output<T>(0)[v * channels + c] = static_cast<T>(sum);
    }
  }
  if (call.node.attributes.integer("positions") == 0) return;
  for (int64_t p = 0; p < call.output_shape(1)[0]; ++p) {
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0;
      for (int64_t s = 0; p < length && s < samples; ++s) sum += dy[(s * length + p) * channels + c];
      call.output<T>(1)[p * channels + c] = static_cast<T>(sum);
    }
  }
}

}  // namespace

Op embedding_op() {
  Op op;
  op.name = "embedding";
  op.doc =
      "y[n, t] = weight[tokens[n, t]] + positions[t], for P >= T positions. A token out of range is a "
      "DataError";
  op.inputs = {"tokens[N, T]", "weight[V, C]", "positions[P, C]"};
  op.outputs = {"y[N, T, C]"};
  op.required_inputs = 2;
  op.max_inputs = 3;
  op.shape = embedding_shape;
  op.flops = embedding_flops;
  op.gradient = embedding_gradient;
  op.reference_float = embedding_reference<float>;
  op.reference_double = embedding_reference<double>;
  op.samples = {
      {.inputs = {{2, 5}, {7, 3}, {6, 3}}, .labels = {0}, .classes = 7},
      {.inputs = {{3, 9}, {4, 17}, {}}, .absent = {2}, .labels = {0}, .classes = 4},
      {.inputs = {{4, 3}, {11, 16}, {3, 16}}, .labels = {0}, .classes = 11},
  };
  return op;
}

Op embedding_backward_op() {
  Op op;
  op.name = "embedding_backward";
  op.doc =
      "dweight[v] = the sum of dy where the token is v; dpositions[t] = the sum of dy over samples, 0 for t "
      ">= T";
  op.inputs = {"dy[N, T, C]", "tokens[N, T]"};
  op.outputs = {"dweight[V, C]", "dpositions[P, C]"};
  op.required_inputs = op.max_inputs = 2;
  op.attributes = {{"vocabulary", int64_t{0}, "V; must be given"},
                   {"positions", int64_t{0}, "P; 0: there is no dpositions"}};
  op.shape = backward_shape;
  op.flops = backward_flops;
  op.reference_float = backward_reference<float>;
  op.reference_double = backward_reference<double>;
  op.samples = {
      {.inputs = {{2, 5, 3}, {2, 5}},
       .attributes = {{"vocabulary", int64_t{7}}, {"positions", int64_t{6}}},
       .labels = {1},
       .classes = 7},
      {.inputs = {{3, 9, 17}, {3, 9}},
       .attributes = {{"vocabulary", int64_t{4}}},
       .labels = {1},
       .classes = 4},
  };
  return op;
}

}  // namespace trireme
