// The op table: one row per op, from which arity, shapes, FLOPs, gradients, the reference kernel, the
// finite-difference test, the reference-equals-backend test and the documentation come. A row is made by the
// op's own file (ops/NAME.cpp), which also holds its backward op.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace trireme {

// What changes from step to step and is not a tensor.
struct StepScalars {
  uint64_t seed = 0;           // run.seed
  int64_t step = 0;            // counted from 0 over the whole run
  int64_t first_sample = 0;    // position of this rank's first sample in the step's global batch
  double sample_weight = 1.0;  // a sample's share in the mean: 1 / global batch
  double loss_scale = 1.0;     // by which float16 programs multiply their gradients (scale_gradient)
};

// A kernel call: addresses of inputs (null where absent) and outputs, the node and the types.
struct KernelCall {
  const Graph& graph;
  const Node& node;
  std::span<const void* const> inputs;
  std::span<void* const> outputs;
  const StepScalars& scalars;

  const Shape& input_shape(size_t i) const { return graph.shape(node.inputs[i]); }
  const Shape& output_shape(size_t i) const { return graph.shape(node.outputs[i]); }
  bool has_input(size_t i) const { return i < node.inputs.size() && node.inputs[i] != no_id; }
  template <class T>
  const T* input(size_t i) const {
    return static_cast<const T*>(inputs[i]);
  }
  template <class T>
  T* output(size_t i) const {
    return static_cast<T*>(outputs[i]);
  }
};

using ReferenceKernel = void (*)(const KernelCall&);

struct AttributeRule {
  std::string name;
  Attribute default_value;
  std::string doc;
};

// Appends nodes to a graph, filling defaults and deriving output types from the table. Also the hand that
// gradient rules write with.
class GraphWriter {
 public:
  GraphWriter(Graph& graph, std::string origin) : graph_(graph), origin_(std::move(origin)) {}

  // Appends a node whose output types come from the op's shape rule. Output 0 is named "<origin>.<op>",
  // output i
  // "<origin>.<op>.<its name>". Outputs are activations, or statistics where the row says so. Throws
  // GraphError naming the origin: unknown op or attribute, wrong arity, input types that the shape rule
  // refuses.
  std::vector<ValueId> add(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {});
  // The same for ops of one output.
  ValueId add_one(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {});
  Graph& graph() { return graph_; }
  void set_origin(std::string origin) { origin_ = std::move(origin); }
  // Node::layer of what is added from now on.
  void set_layer(int32_t layer) { layer_ = layer; }
  const std::string& origin() const { return origin_; }

 private:
  Graph& graph_;
  std::string origin_;
  int32_t layer_ = -1;
};

// Inputs for tests: one call of the op. float inputs are drawn at random unless `labels` marks a class-index
// input.
struct OpSample {
  std::vector<Shape> inputs = {};  // an absent optional input has rank 0 and is listed in `absent`
  Attributes attributes = {};
  std::vector<size_t> absent = {};
  std::vector<size_t> labels = {};  // inputs that are int32 class indices (or tokens) below `classes`
  int64_t classes = 0;
  std::vector<size_t> positive = {};  // inputs to be drawn away from zero (variances)
  std::vector<size_t> positions =
      {};  // inputs that are uint8 positions in a pooling window (max_pool's argmax)
  std::vector<size_t> targets = {};  // inputs in [0, 1] by which the op is not differentiated (of a loss)
};

// Types of max_inputs inputs (absent ones are nullopt) and complete attributes -> types of the outputs, whose
// number may depend on the attributes (a bias gradient). Only output 0 carries a gradient. Throws GraphError
// without origin; GraphWriter and verify add it.
using ShapeRule = std::vector<TensorType> (*)(std::span<const std::optional<TensorType>> inputs,
                                              const Attributes& attributes);
// Floating-point operations of one call (a fused multiply-add counts two).
using FlopRule = double (*)(const Graph& graph, const Node& node);
// Gradient of output 0 (no_id for a loss, whose own gradient is 1) -> gradients of the inputs (no_id where
// none is defined). Takes the node by value: writing appends to the graph's nodes.
using GradientRule = std::vector<ValueId> (*)(GraphWriter& writer, Node node, ValueId output_gradient);

// Output `output` is a statistic; `state_input` is the input whose running mean it updates, or -1 for none.
struct StatisticOutput {
  size_t output;
  int state_input;
};

// What the precision pass may do with an op.
enum class Precision : uint8_t {
  full,    // float32 (float64 under the oracle) alone: losses, normalisation over samples, embeddings
  low,     // worth computing in 16 bits: the inputs in half_inputs are cast to the low type
  follow,  // takes the type that arrives: the inputs in half_inputs are of one type, all low or all float32
};

struct Op {
  std::string name;
  std::string doc;                   // one line: what it computes, shapes
  std::vector<std::string> inputs;   // names with layout, "x[N, H, W, C]"; max_inputs of them
  std::vector<std::string> outputs;  // the same; the shape rule may give fewer (no bias gradient)
  size_t required_inputs = 1;        // further inputs up to max_inputs are optional (no_id)
  size_t max_inputs = 1;
  std::vector<AttributeRule> attributes;
  ShapeRule shape = nullptr;
  FlopRule flops = nullptr;
  GradientRule gradient = nullptr;  // null: not differentiable (backward ops, metrics)
  ReferenceKernel reference_float = nullptr;
  ReferenceKernel reference_double = nullptr;
  // For activations of 16 bits; null where the op takes none (precision full). A kernel is chosen by the type
  // of the first floating-point input, or of output 0 where there is none.
  ReferenceKernel reference_bfloat16 = nullptr;
  ReferenceKernel reference_float16 = nullptr;
  Precision precision = Precision::full;
  // Inputs that carry the activation type T; the others stay float32 beside 16-bit activations (bias, gamma),
  // and so do outputs that are gradients of parameters.
  std::vector<size_t> half_inputs = {};
  // Outputs that are statistics: written as this rank's share of a sum over ranks (scaled by sample_weight).
  std::vector<StatisticOutput> statistic_outputs;
  bool is_loss = false;     // output 0 is a scalar that training minimises
  bool is_view = false;     // output 0 holds the same bytes as input 0 under another shape
  int in_place_input = -1;  // output 0 may overwrite this input when nobody reads it later (elementwise ops)
  std::vector<OpSample> samples;  // at least one
};

// The table, in the order of registration in ops/table.cpp. A plain function-local constant.
const std::vector<Op>& op_table();
// Throws GraphError naming the nearest known op.
const Op& find_op(std::string_view name);

// Checks names and types of `given` against the row and adds the defaults of those that are not given. Throws
// GraphError naming the attribute.
Attributes complete_attributes(const Op& op, const Attributes& given);
// Checks the arity and applies the shape rule. Throws GraphError, without origin.
std::vector<TensorType> output_types(const Op& op, const Graph& graph, std::span<const ValueId> inputs,
                                     const Attributes& attributes);

// The type that a node computes in: that of its first floating-point input, of output 0 where there is none.
// Kernels are chosen by it.
DType kernel_type(const Graph& graph, const Node& node);
// The row's plain loop for that type; null where it has none.
ReferenceKernel reference_kernel(const Op& op, DType type);

}  // namespace trireme
