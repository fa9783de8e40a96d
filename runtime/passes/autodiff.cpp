#include <vector>

#include "base/error.h"
#include "graph/op.h"
#include "passes/passes.h"

namespace trireme {
namespace {

// By node: whether its output 0 is a loss.
std::vector<bool> find_losses(const Graph& graph) {
  std::vector<bool> is_loss(graph.nodes.size());
  bool any = false;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    is_loss[i] = find_op(graph.nodes[i].op).is_loss;
    any = any || is_loss[i];
  }
  if (!any) throw GraphError("graph '{}' has no loss to differentiate", graph.name);
  return is_loss;
}

// Values through which a parameter can influence a loss. What is frozen is none of ours, so that its own
// gradient is not needed; a value computed from it and from a parameter is.
std::vector<bool> values_that_need_gradients(const Graph& graph) {
  std::vector<bool> needs(graph.values.size(), false);
  for (size_t i = 0; i < graph.values.size(); ++i) needs[i] = graph.values[i].role == Role::parameter;
  for (const Node& node : graph.nodes) {
    bool any = false;
    for (ValueId input : node.inputs) any = any || (input != no_id && needs[static_cast<size_t>(input)]);
    if (any) needs[static_cast<size_t>(node.outputs[0])] = true;
  }
  return needs;
}

}  // namespace

// Walks the forward nodes backwards. gradient_of[v] is the sum of what v's readers sent so far; when a node
// is reached all readers of its output have been visited, so its gradient is complete. The gradient of every
// loss is 1, which makes the sum of all losses the function that is differentiated.
void differentiate(Graph& graph) {
  std::vector<bool> is_loss = find_losses(graph);
  size_t forward_nodes = graph.nodes.size();
  std::vector<bool> needs = values_that_need_gradients(graph);
  std::vector<ValueId> gradient_of(graph.values.size(), no_id);

  for (size_t i = forward_nodes; i-- > 0;) {
    Node node = graph.nodes[i];
    ValueId output = node.outputs[0];
    ValueId received = gradient_of[static_cast<size_t>(output)];
    if ((!is_loss[i] && received == no_id) || !needs[static_cast<size_t>(output)]) continue;
    if (is_loss[i] && received != no_id) {
      throw GraphError("{}: a loss ends the graph, but another loss is computed from this one", node.origin);
    }
    const Op& op = find_op(node.op);
    if (op.gradient == nullptr) throw GraphError("{}: op {} has no gradient", node.origin, node.op);
    GraphWriter writer(graph, node.origin);
    std::vector<ValueId> sent = op.gradient(writer, node, received);
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      ValueId input = node.inputs[k];
      if (input == no_id || k >= sent.size() || sent[k] == no_id || !needs[static_cast<size_t>(input)])
        continue;
      ValueId& total = gradient_of[static_cast<size_t>(input)];
      total = total == no_id ? sent[k] : writer.add_one("add", {total, sent[k]});
    }
  }

  for (size_t v = 0; v < gradient_of.size(); ++v) {
    if (graph.values[v].role != Role::parameter) continue;
    ValueId gradient = gradient_of[v];
    if (gradient == no_id) throw GraphError("parameter {} does not influence a loss", graph.values[v].name);
    Value& value = graph.value(gradient);
    if (value.role != Role::activation || value.producer == no_id) {
      throw GraphError("parameter {} shares its gradient with another value", graph.values[v].name);
    }
    value.role = Role::gradient;
    value.of = static_cast<ValueId>(v);
    value.name = graph.values[v].name + ".gradient";
  }
}

}  // namespace trireme
