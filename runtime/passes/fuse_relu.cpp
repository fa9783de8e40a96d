#include <algorithm>
#include <array>
#include <string_view>

#include "graph/op.h"
#include "passes/passes.h"
#include "passes/uses.h"

namespace trireme {

void fuse_relu(Graph& graph) {
  std::vector<int> uses = count_uses(graph);
  std::vector<bool> removed(graph.nodes.size(), false);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& relu = graph.nodes[i];
    if (relu.op != "relu") continue;
    ValueId before = relu.inputs[0];
    NodeId producer = graph.value(before).producer;
    if (producer == no_id || uses[static_cast<size_t>(before)] != 1) continue;
    Node& node = graph.nodes[static_cast<size_t>(producer)];
    const std::vector<AttributeRule>& rules = find_op(node.op).attributes;
    bool can_fuse =
        std::any_of(rules.begin(), rules.end(), [](const AttributeRule& r) { return r.name == "relu"; });
    if (!can_fuse || node.outputs[0] != before || node.attributes.integer("relu") != 0) continue;
    node.attributes.set("relu", int64_t{1});
    redirect_uses(graph, relu.outputs[0], before);
    uses[static_cast<size_t>(before)] = uses[static_cast<size_t>(relu.outputs[0])];
    removed[i] = true;
  }
  std::vector<Node> kept;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!removed[i]) kept.push_back(std::move(graph.nodes[i]));
  }
  graph.nodes = std::move(kept);
  renumber_producers(graph);
}

}  // namespace trireme
