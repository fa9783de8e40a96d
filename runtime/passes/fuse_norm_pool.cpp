#include "passes/passes.h"
#include "passes/uses.h"

namespace trireme {
namespace {

// The only node of the op that reads `value`, or null: a result, or several readers.
Node* only_reader(Graph& graph, const std::vector<int>& uses, ValueId value, std::string_view op) {
  if (uses[static_cast<size_t>(value)] != 1) return nullptr;
  for (Node& node : graph.nodes) {
    if (node.op == op && node.inputs[0] == value) return &node;
  }
  return nullptr;
}

}  // namespace

void fuse_norm_pool(Graph& graph) {
  std::vector<int> uses = count_uses(graph);
  std::vector<const Node*> removed;
  for (Node& norm : graph.nodes) {
    if (norm.op != "batch_norm" || norm.attributes.integer("relu") != 0) continue;
    Node* pool = only_reader(graph, uses, norm.outputs[0], "max_pool");
    // Of windows that overlap the gradients are sums, which 16-bit values would round at every window.
    if (pool == nullptr || pool->attributes.integer("stride") < pool->attributes.integer("kernel")) continue;
    Node* relu = only_reader(graph, uses, pool->outputs[0], "relu");
    if (relu == nullptr) continue;
    std::vector<ValueId> outputs = {relu->outputs[0], pool->outputs[1]};
    outputs.insert(outputs.end(), norm.outputs.begin() + 1, norm.outputs.end());
    norm.op = "batch_norm_max_pool";
    norm.outputs = std::move(outputs);
    norm.attributes = {{"kernel", pool->attributes.integer("kernel")},
                       {"stride", pool->attributes.integer("stride")},
                       {"padding", pool->attributes.integer("padding")},
                       {"epsilon", norm.attributes.real("epsilon")},
                       {"momentum", norm.attributes.real("momentum")}};
    removed.insert(removed.end(), {pool, relu});
  }
  std::vector<Node> kept;
  for (Node& node : graph.nodes) {
    if (std::find(removed.begin(), removed.end(), &node) == removed.end()) kept.push_back(std::move(node));
  }
  graph.nodes = std::move(kept);
  renumber_producers(graph);
}

}  // namespace trireme
