#include <functional>
#include <queue>
#include <vector>

#include "base/error.h"
#include "passes/passes.h"
#include "passes/uses.h"

namespace trireme {
namespace {

// The least first.
using Ready = std::priority_queue<size_t, std::vector<size_t>, std::greater<>>;

bool finishes_gradient(const Graph& graph, const Node& node) {
  for (ValueId output : node.outputs) {
    if (graph.value(output).role == Role::gradient) return true;
  }
  return false;
}

}  // namespace

// Repeatedly takes, of the nodes whose inputs are all there, the first that finishes a gradient, else the
// first.
void order_nodes(Graph& graph) {
  size_t n = graph.nodes.size();
  std::vector<std::vector<size_t>> readers(graph.values.size());  // a node as often as it reads the value
  std::vector<size_t> missing(n, 0);                              // inputs that are not there yet
  Ready gradients;
  Ready others;
  auto make_ready = [&](size_t i) {
    (finishes_gradient(graph, graph.nodes[i]) ? gradients : others).push(i);
  };
  for (size_t i = 0; i < n; ++i) {
    for (ValueId input : graph.nodes[i].inputs) {
      if (input == no_id || graph.value(input).producer == no_id) continue;
      readers[static_cast<size_t>(input)].push_back(i);
      ++missing[i];
    }
    if (missing[i] == 0) make_ready(i);
  }

  std::vector<Node> ordered;
  while (!gradients.empty() || !others.empty()) {
    Ready& ready = gradients.empty() ? others : gradients;
    size_t chosen = ready.top();
    ready.pop();
    for (ValueId output : graph.nodes[chosen].outputs) {
      for (size_t reader : readers[static_cast<size_t>(output)]) {
        if (--missing[reader] == 0) make_ready(reader);
      }
    }
    ordered.push_back(std::move(graph.nodes[chosen]));
  }
  if (ordered.size() < n) throw GraphError("graph '{}' has a cycle", graph.name);
  graph.nodes = std::move(ordered);
  renumber_producers(graph);
}

}  // namespace trireme
