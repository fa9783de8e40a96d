#include "base/error.h"
#include "graph/op.h"

namespace trireme {
namespace {

const StatisticOutput* statistic_of(const Op& op, size_t output) {
  for (const StatisticOutput& statistic : op.statistic_outputs) {
    if (statistic.output == output) return &statistic;
  }
  return nullptr;
}

// The state that a statistic updates, or no_id.
ValueId state_of(const Op& op, const StatisticOutput& statistic, const Graph& graph,
                 const std::vector<ValueId>& inputs) {
  if (statistic.state_input < 0) return no_id;
  auto input = static_cast<size_t>(statistic.state_input);
  ValueId id = inputs.at(input);
  if (graph.value(id).role != Role::state) {
    throw GraphError("input {} ({}) is moved by output {}, so it must be a state, not {} '{}'", input,
                     op.inputs.at(input), op.outputs.at(statistic.output), name_of(graph.value(id).role),
                     graph.value(id).name);
  }
  return id;
}

}  // namespace

std::vector<ValueId> GraphWriter::add(std::string_view op_name, std::vector<ValueId> inputs,
                                      Attributes attributes) try {
  const Op& op = find_op(op_name);
  Node node;
  node.op = op.name;
  node.origin = origin_;
  node.layer = layer_;
  node.attributes = complete_attributes(op, attributes);
  std::vector<TensorType> types = output_types(op, graph_, inputs, node.attributes);
  std::vector<ValueId> states(types.size(), no_id);
  for (size_t i = 0; i < types.size(); ++i) {
    if (auto* statistic = statistic_of(op, i)) states[i] = state_of(op, *statistic, graph_, inputs);
  }
  node.inputs = std::move(inputs);
  // Nothing may throw from here on, so that a refused node leaves the graph as it was.
  auto producer = static_cast<NodeId>(graph_.nodes.size());
  for (size_t i = 0; i < types.size(); ++i) {
    std::string name = fmt::format("{}.{}", origin_, op.name);
    if (i > 0) name = fmt::format("{}.{}", name, op.outputs.at(i).substr(0, op.outputs[i].find('[')));
    Role role = statistic_of(op, i) ? Role::statistic : Role::activation;
    ValueId id = graph_.add_value(std::move(name), std::move(types[i]), role, states[i]);
    graph_.value(id).producer = producer;
    node.outputs.push_back(id);
  }
  graph_.nodes.push_back(std::move(node));
  return graph_.nodes.back().outputs;
} catch (const GraphError& error) {
  throw GraphError("{}: {}: {}", origin_, op_name, error.what());
}

ValueId GraphWriter::add_one(std::string_view op, std::vector<ValueId> inputs, Attributes attributes) {
  std::vector<ValueId> outputs = add(op, std::move(inputs), std::move(attributes));
  if (outputs.size() != 1) throw GraphError("{}: {} has {} outputs, not one", origin_, op, outputs.size());
  return outputs[0];
}

}  // namespace trireme
