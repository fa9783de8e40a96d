#include <vector>

#include "base/error.h"
#include "graph/op.h"
#include "passes/passes.h"

namespace trireme {
namespace {

// The node whose output 0 is the loss.
size_t find_loss(const Graph& graph) {
  size_t found = graph.nodes.size();
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!find_op(graph.nodes[i].op).is_loss) continue;
    if (found != graph.nodes.size())
      throw GraphError("{}: a graph has one loss, this is the second", graph.nodes[i].origin);
    found = i;
  }
  if (found == graph.nodes.size()) throw GraphError("graph '{}' has no loss to differentiate", graph.name);
  return found;
}

// Values through which a parameter can influence the loss.
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
// is reached all readers of its output have been visited, so its gradient is complete.
void differentiate(Graph& graph) {
  size_t loss = find_loss(graph);
  size_t forward_nodes = graph.nodes.size();
  std::vector<bool> needs = values_that_need_gradients(graph);
  std::vector<ValueId> gradient_of(graph.values.size(), no_id);

  for (size_t i = forward_nodes; i-- > 0;) {
    Node node = graph.nodes[i];
    ValueId output = node.outputs[0];
    bool reached = i == loss || gradient_of[static_cast<size_t>(output)] != no_id;
    if (!reached || !needs[static_cast<size_t>(output)]) continue;
    const Op& op = find_op(node.op);
    if (op.gradient == nullptr) throw GraphError("{}: op {} has no gradient", node.origin, node.op);
    GraphWriter writer(graph, node.origin);
    std::vector<ValueId> sent =
        op.gradient(writer, node, i == loss ? no_id : gradient_of[static_cast<size_t>(output)]);
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
    if (gradient == no_id) throw GraphError("parameter {} does not influence the loss", graph.values[v].name);
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
