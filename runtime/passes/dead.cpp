#include <algorithm>

#include "passes/passes.h"
#include "passes/uses.h"

namespace trireme {

void remove_dead_nodes(Graph& graph) {
  std::vector<bool> live(graph.values.size(), false);
  for (ValueId result : graph.results) live[static_cast<size_t>(result)] = true;
  std::vector<Node> kept;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    Node& node = graph.nodes[i];
    bool needed = std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId output) {
      Role role = graph.value(output).role;
      return live[static_cast<size_t>(output)] || role == Role::gradient || role == Role::statistic;
    });
    if (!needed) continue;
    for (ValueId input : node.inputs) {
      if (input != no_id) live[static_cast<size_t>(input)] = true;
    }
    kept.push_back(std::move(node));
  }
  std::reverse(kept.begin(), kept.end());
  graph.nodes = std::move(kept);
  renumber_producers(graph);
}

}  // namespace trireme
