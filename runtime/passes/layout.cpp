#include "base/error.h"
#include "graph/op.h"
#include "passes/passes.h"

namespace trireme {
namespace {

size_t align_up(size_t elements) {
  return (elements + arena_alignment - 1) / arena_alignment * arena_alignment;
}

// Appends a tensor at `end` and moves `end` behind it and its padding.
size_t append(std::vector<ArenaTensor>& tensors, size_t& end, const Value& value) {
  ArenaTensor tensor{value.name, value.type.shape, end};
  end = align_up(end + tensor.size());
  tensors.push_back(tensor);
  return tensor.offset;
}

}  // namespace

ArenaLayout lay_out_arenas(const Graph& graph) {
  ArenaLayout layout;
  for (const Node& node : graph.nodes) {
    for (ValueId output : node.outputs) {
      const Value& value = graph.value(output);
      if (value.role == Role::gradient)
        append(layout.parameters, layout.parameter_elements, graph.value(value.of));
    }
  }
  for (const Value& value : graph.values) {
    if (value.role == Role::state) append(layout.states, layout.state_elements, value);
  }
  layout.gradient_elements = layout.parameter_elements;
  for (const Node& node : graph.nodes) {
    for (const StatisticOutput& statistic : find_op(node.op).statistic_outputs) {
      if (statistic.output >= node.outputs.size()) continue;  // batch_norm without running statistics
      const Value& value = graph.value(node.outputs[statistic.output]);
      if (value.role != Role::statistic) continue;  // of a clone that the recompute pass made
      size_t offset = append(layout.statistics, layout.gradient_elements, value);
      if (value.of == no_id) continue;
      const ArenaTensor& state = layout.state(graph.value(value.of).name);
      layout.running_means.push_back({offset, state.offset, state.size(), node.attributes.real("momentum")});
    }
  }
  Value votes;
  votes.name = "stop_votes";
  append(layout.statistics, layout.gradient_elements, votes);
  return layout;
}

}  // namespace trireme
