#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "graph/op.h"
#include "passes/passes.h"

namespace trireme {
namespace {

// Rewrites the nodes in order. Every value keeps its id; an activation's type changes where its producer's
// has.
class Lowering {
 public:
  Lowering(Graph& graph, DType low) : graph_(graph), low_(low) {}

  void run() {
    std::vector<Node> nodes = std::exchange(graph_.nodes, {});
    for (Node& node : nodes) lower(std::move(node));
    for (ValueId& result : graph_.results) result = as_float(result);
  }

 private:
  DType type_of(ValueId id) const { return graph_.value(id).type.dtype; }

  void lower(Node node) {
    const Op& op = find_op(node.op);
    DType activations = activation_type(op, node);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == no_id || !is_floating(type_of(node.inputs[i]))) continue;
      bool carries = std::find(op.half_inputs.begin(), op.half_inputs.end(), i) != op.half_inputs.end();
      DType wanted = carries ? activations : wide(type_of(node.inputs[i]));
      node.inputs[i] = in_type(node.inputs[i], wanted, node);
    }
    retype_outputs(op, node);
    for (ValueId output : node.outputs)
      graph_.value(output).producer = static_cast<NodeId>(graph_.nodes.size());
    graph_.nodes.push_back(std::move(node));
  }

  // The type of the node's half_inputs.
  DType activation_type(const Op& op, const Node& node) const {
    if (op.precision == Precision::low) return low_;
    DType type = op.precision == Precision::full ? DType::float32 : low_;
    for (size_t i : op.half_inputs) {
      if (i >= node.inputs.size() || node.inputs[i] == no_id) continue;
      DType own = type_of(node.inputs[i]);
      if (is_floating(own) && !is_half_type(own)) type = own;
    }
    return type;
  }

  void retype_outputs(const Op& op, const Node& node) {
    std::vector<TensorType> types;
    try {
      types = output_types(op, graph_, node.inputs, node.attributes);
    } catch (const GraphError& error) {
      throw GraphError("{}: {}: {}", node.origin, node.op, error.what());
    }
    for (size_t i = 0; i < types.size() && i < node.outputs.size(); ++i) {
      graph_.value(node.outputs[i]).type = types[i];
    }
  }

  // The value as `type`: itself, or a cast of it, of which there is one however often it is read.
  ValueId in_type(ValueId id, DType type, const Node& reader) {
    if (type_of(id) == type) return id;
    auto [found, is_new] = casts_.try_emplace({id, type}, no_id);
    if (is_new) {
      GraphWriter writer(graph_, reader.origin);
      writer.set_layer(reader.layer);
      found->second = writer.add_one("cast", {id}, {{"to", static_cast<int64_t>(type)}});
      graph_.value(found->second).name = graph_.value(id).name + "." + std::string(name_of(type));
    }
    return found->second;
  }

  // Results are read as float32 by whoever steps the program; the cast takes over the value's name.
  ValueId as_float(ValueId id) {
    if (!is_half_type(type_of(id))) return id;
    const Node& producer = graph_.nodes.at(static_cast<size_t>(graph_.value(id).producer));
    Node reader;
    reader.origin = producer.origin;
    reader.layer = producer.layer;
    ValueId cast = in_type(id, DType::float32, reader);
    std::string name = graph_.value(id).name;
    graph_.value(id).name += "." + std::string(name_of(low_));
    graph_.value(cast).name = name;
    return cast;
  }

  Graph& graph_;
  DType low_;
  std::map<std::pair<ValueId, DType>, ValueId> casts_;
};

}  // namespace

void lower_precision(Graph& graph, DType low) {
  if (low == DType::float32) return;
  if (!is_half_type(low)) {
    throw GraphError("graph '{}' cannot be lowered to {}: bfloat16 and float16 are known", graph.name,
                     name_of(low));
  }
  Lowering(graph, low).run();
}

void scale_loss_gradients(Graph& graph) {
  std::vector<Node> nodes = std::exchange(graph.nodes, {});
  for (Node& node : nodes) {
    if (find_op(node.op).is_loss) {
      GraphWriter writer(graph, node.origin);
      writer.set_layer(node.layer);
      for (ValueId& input : node.inputs) {
        if (input == no_id || graph.value(input).role == Role::input) continue;
        if (is_floating(graph.value(input).type.dtype)) input = writer.add_one("scale_gradient", {input});
      }
    }
    for (ValueId output : node.outputs)
      graph.value(output).producer = static_cast<NodeId>(graph.nodes.size());
    graph.nodes.push_back(std::move(node));
  }
}

}  // namespace trireme
