// Who reads a value: shared by the rewriting passes.
#pragma once

#include <algorithm>
#include <vector>

#include "graph/graph.h"

namespace trireme {

// Number of node inputs that read each value, by ValueId; a result counts as read once more.
inline std::vector<int> count_uses(const Graph& graph) {
  std::vector<int> uses(graph.values.size(), 0);
  for (const Node& node : graph.nodes) {
    for (ValueId input : node.inputs) {
      if (input != no_id) ++uses[static_cast<size_t>(input)];
    }
  }
  for (ValueId result : graph.results) ++uses[static_cast<size_t>(result)];
  return uses;
}

// Makes every reader of `from` (results too) read `to`.
inline void redirect_uses(Graph& graph, ValueId from, ValueId to) {
  for (Node& node : graph.nodes) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  std::replace(graph.results.begin(), graph.results.end(), from, to);
}

// Recomputes Value::producer after nodes were moved or removed.
inline void renumber_producers(Graph& graph) {
  for (Value& value : graph.values) value.producer = no_id;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (ValueId output : graph.nodes[i].outputs) graph.value(output).producer = static_cast<NodeId>(i);
  }
}

}  // namespace trireme
