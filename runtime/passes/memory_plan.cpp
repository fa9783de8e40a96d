#include "passes/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "graph/op.h"

namespace trireme {
namespace {

constexpr size_t workspace_alignment = 64;

size_t align_up(size_t bytes) {
  return (bytes + workspace_alignment - 1) / workspace_alignment * workspace_alignment;
}

// A block of the workspace: one value, or several that share their bytes (views, values overwritten in
// place), alive from node `first` to node `last`.
struct Block {
  ValueId root;
  size_t bytes;
  size_t first;
  size_t last;
  size_t offset = MemoryPlan::npos;
};

bool lies_in_workspace(const Value& value) {
  return value.role == Role::activation && value.producer != no_id;
}

// Index of the last node that reads each value; the number of nodes for results.
std::vector<size_t> last_reads(const Graph& graph) {
  std::vector<size_t> last(graph.values.size(), 0);
  for (size_t v = 0; v < graph.values.size(); ++v) {
    if (graph.values[v].producer != no_id) last[v] = static_cast<size_t>(graph.values[v].producer);
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (ValueId input : graph.nodes[i].inputs) {
      if (input != no_id) last[static_cast<size_t>(input)] = i;
    }
  }
  for (ValueId result : graph.results) last[static_cast<size_t>(result)] = graph.nodes.size();
  return last;
}

// Decides which values share a block. root[v] is the value that owns v's bytes (v itself for most, an input
// for a view of an input); alive_until[root] the last node that needs them.
struct Sharing {
  std::vector<ValueId> root;
  std::vector<size_t> alive_until;
};

Sharing share_blocks(const Graph& graph, MemoryReuse reuse) {
  Sharing sharing;
  sharing.root.resize(graph.values.size());
  std::iota(sharing.root.begin(), sharing.root.end(), 0);
  std::vector<size_t> last = last_reads(graph);
  sharing.alive_until = last;
  if (reuse == MemoryReuse::off) return sharing;

  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const Op& op = find_op(node.op);
    ValueId output = node.outputs[0];
    if (!lies_in_workspace(graph.value(output))) continue;
    if (op.is_view) {
      ValueId root = sharing.root[static_cast<size_t>(node.inputs[0])];
      const Value& owner = graph.value(root);
      if (!lies_in_workspace(owner) && owner.role != Role::input) continue;
      sharing.root[static_cast<size_t>(output)] = root;
      size_t& until = sharing.alive_until[static_cast<size_t>(root)];
      until = std::max(until, last[static_cast<size_t>(output)]);
    } else if (op.in_place_input >= 0) {
      ValueId input = node.inputs[static_cast<size_t>(op.in_place_input)];
      ValueId root = sharing.root[static_cast<size_t>(input)];
      const Value& owner = graph.value(root);
      bool read_otherwise = false;
      for (size_t k = 0; k < node.inputs.size(); ++k) {
        if (node.inputs[k] == no_id || static_cast<int>(k) == op.in_place_input) continue;
        read_otherwise = read_otherwise || sharing.root[static_cast<size_t>(node.inputs[k])] == root;
      }
      size_t& until = sharing.alive_until[static_cast<size_t>(root)];
      if (!lies_in_workspace(owner) || until != i || read_otherwise) continue;
      if (graph.value(input).type.bytes() != graph.value(output).type.bytes()) continue;
      sharing.root[static_cast<size_t>(output)] = root;
      until = last[static_cast<size_t>(output)];
    }
  }
  return sharing;
}

}  // namespace

MemoryPlan plan_memory(const Graph& graph, MemoryReuse reuse) {
  MemoryPlan plan;
  plan.offsets.assign(graph.values.size(), MemoryPlan::npos);
  Sharing sharing = share_blocks(graph, reuse);

  std::vector<Block> blocks;
  for (size_t v = 0; v < graph.values.size(); ++v) {
    const Value& value = graph.values[v];
    if (!lies_in_workspace(value)) continue;
    plan.unplanned_bytes += align_up(value.type.bytes());
    if (sharing.root[v] != static_cast<ValueId>(v)) continue;
    blocks.push_back({static_cast<ValueId>(v), align_up(value.type.bytes()),
                      static_cast<size_t>(value.producer), sharing.alive_until[v]});
  }
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](const Block& a, const Block& b) { return a.bytes > b.bytes; });

  // Blocks placed so far, by offset: the lowest gap between those alive at the same time takes the next
  // block.
  std::vector<Block> placed;
  for (Block& block : blocks) {
    size_t offset = 0;
    for (const Block& other : placed) {
      bool together = block.first <= other.last && other.first <= block.last;
      if (reuse == MemoryReuse::on && !together) continue;
      if (offset + block.bytes <= other.offset) break;
      offset = std::max(offset, other.offset + other.bytes);
    }
    block.offset = offset;
    plan.bytes = std::max(plan.bytes, offset + block.bytes);
    plan.offsets[static_cast<size_t>(block.root)] = offset;
    placed.insert(std::upper_bound(placed.begin(), placed.end(), block,
                                   [](const Block& a, const Block& b) { return a.offset < b.offset; }),
                  block);
  }
  for (size_t v = 0; v < graph.values.size(); ++v) {
    plan.offsets[v] = plan.offsets[static_cast<size_t>(sharing.root[v])];
  }
  return plan;
}

}  // namespace trireme
