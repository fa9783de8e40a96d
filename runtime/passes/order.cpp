#include <algorithm>

#include "base/error.h"
#include "passes/passes.h"
#include "passes/uses.h"

namespace trireme {

// Repeatedly takes, of the nodes whose inputs are all there, the first that finishes a gradient, else the
// first. Quadratic in the number of nodes, which is in the hundreds.
void order_nodes(Graph& graph) {
  size_t n = graph.nodes.size();
  std::vector<bool> produced(graph.values.size(), false);
  for (size_t v = 0; v < graph.values.size(); ++v) produced[v] = graph.values[v].producer == no_id;
  std::vector<bool> done(n, false);

  auto is_ready = [&](const Node& node) {
    return std::all_of(node.inputs.begin(), node.inputs.end(),
                       [&](ValueId v) { return v == no_id || produced[static_cast<size_t>(v)]; });
  };
  auto finishes_gradient = [&](const Node& node) {
    return std::any_of(node.outputs.begin(), node.outputs.end(),
                       [&](ValueId v) { return graph.value(v).role == Role::gradient; });
  };

  std::vector<Node> ordered;
  while (ordered.size() < n) {
    size_t chosen = n;
    for (size_t i = 0; i < n; ++i) {
      if (done[i] || !is_ready(graph.nodes[i])) continue;
      if (chosen == n) chosen = i;
      if (finishes_gradient(graph.nodes[i])) {
        chosen = i;
        break;
      }
    }
    if (chosen == n) throw GraphError("graph '{}' has a cycle", graph.name);
    done[chosen] = true;
    for (ValueId output : graph.nodes[chosen].outputs) produced[static_cast<size_t>(output)] = true;
    ordered.push_back(graph.nodes[chosen]);
  }
  graph.nodes = std::move(ordered);
  renumber_producers(graph);
}

}  // namespace trireme
