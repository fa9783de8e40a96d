#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "graph/op.h"
#include "passes/passes.h"
#include "passes/uses.h"

namespace trireme {
namespace {

constexpr int32_t no_segment = -1;
constexpr size_t small_part = 16;

// Everything up to the last loss.
size_t count_forward_nodes(const Graph& graph) {
  size_t count = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (find_op(graph.nodes[i].op).is_loss) count = i + 1;
  }
  return count;
}

bool is_activation(const Graph& graph, ValueId id) {
  return id != no_id && graph.value(id).role == Role::activation && graph.value(id).producer != no_id;
}

// A forward value that the backward pass or another layer reads.
struct Waiting {
  int32_t layer;      // of its producer
  int32_t read_last;  // the last layer of a forward reader; beyond all layers for the loss
  size_t bytes;
};

// What there is to keep, by layer.
using WaitingByLayer = std::map<int32_t, std::vector<Waiting>>;

WaitingByLayer find_waiting(const Graph& graph, size_t forward_nodes) {
  constexpr int32_t beyond = std::numeric_limits<int32_t>::max();
  std::vector<int32_t> read_last(graph.values.size(), -1);
  std::vector<bool> read_backward(graph.values.size(), false);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (ValueId input : graph.nodes[i].inputs) {
      if (input == no_id) continue;
      auto v = static_cast<size_t>(input);
      int32_t layer = graph.nodes[i].layer;
      if (i < forward_nodes) read_last[v] = std::max(read_last[v], layer < 0 ? beyond : layer);
      if (i >= forward_nodes) read_backward[v] = true;
    }
  }
  WaitingByLayer waiting;
  for (size_t i = 0; i < forward_nodes; ++i) {
    const Node& node = graph.nodes[i];
    if (node.layer < 0) continue;
    std::vector<Waiting>& of_layer = waiting[node.layer];
    if (find_op(node.op).is_view) continue;
    for (ValueId output : node.outputs) {
      auto v = static_cast<size_t>(output);
      bool waits = read_backward[v] || read_last[v] > node.layer;
      if (waits && is_activation(graph, output)) {
        of_layer.push_back({node.layer, read_last[v], graph.value(output).type.bytes()});
      }
    }
  }
  return waiting;
}

struct Cut {
  std::map<int32_t, int32_t> segment_of;  // by layer
  size_t peak = 0;                        // bytes
};

// Cuts the layers, in order, into segments as large as they may be for at most `limit` bytes at any time:
// while a segment's backward runs, all that waits in it and all that segments before it handed on is there. A
// layer that does not fit is a segment by itself.
Cut cut_within(const WaitingByLayer& waiting, size_t limit) {
  Cut cut;
  int32_t segment = 0;
  size_t kept = 0;
  std::vector<Waiting> held;  // of the segment
  size_t held_bytes = 0;
  for (const auto& [layer, values] : waiting) {
    size_t bytes = 0;
    for (const Waiting& value : values) bytes += value.bytes;
    if (held_bytes > 0 && kept + held_bytes + bytes > limit) {
      for (const Waiting& value : held) kept += value.read_last >= layer ? value.bytes : 0;
      held.clear();
      held_bytes = 0;
      ++segment;
    }
    held.insert(held.end(), values.begin(), values.end());
    held_bytes += bytes;
    cut.segment_of[layer] = segment;
    cut.peak = std::max(cut.peak, kept + held_bytes);
  }
  return cut;
}

// The cut of the least peak, by bisection of the limit (section 4.3 of the paper searches its budget
// likewise).
Cut cut_best(const WaitingByLayer& waiting) {
  size_t low = 0;
  size_t high = cut_within(waiting, std::numeric_limits<size_t>::max()).peak;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    (cut_within(waiting, middle).peak <= middle ? high : low) = middle;
  }
  return cut_within(waiting, high);
}

// The segment of each forward node. The last one's values are needed as soon as they are there: it is none.
std::vector<int32_t> segments_of_nodes(const Graph& graph, size_t forward_nodes, Recompute policy) {
  std::vector<int32_t> segments(forward_nodes, no_segment);
  WaitingByLayer waiting = find_waiting(graph, forward_nodes);
  if (waiting.empty()) return segments;
  Cut cut = policy == Recompute::layer ? cut_within(waiting, 0) : cut_best(waiting);
  int32_t last = cut.segment_of.rbegin()->second;
  for (size_t i = 0; i < forward_nodes; ++i) {
    if (graph.nodes[i].layer < 0) continue;
    int32_t segment = cut.segment_of.at(graph.nodes[i].layer);
    if (segment != last) segments[i] = segment;
  }
  return segments;
}

// By ValueId: whether the backward pass makes the value again in place of reading the first one.
std::vector<bool> choose_dropped(const Graph& graph, const std::vector<int32_t>& segments) {
  std::vector<bool> dropped(graph.values.size(), false);
  for (size_t i = 0; i < segments.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (segments[i] == no_segment) continue;
    size_t first_bytes = graph.value(node.outputs[0]).type.bytes();
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      const Value& value = graph.value(node.outputs[k]);
      // Means and the like: nothing is won by dropping them.
      bool small = k > 0 && value.type.bytes() * small_part <= first_bytes;
      dropped[static_cast<size_t>(node.outputs[k])] = value.role == Role::activation && !small;
    }
  }
  for (ValueId result : graph.results) dropped[static_cast<size_t>(result)] = false;
  // Backwards, so that what a kept view looks at is kept too.
  for (size_t i = segments.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    bool keeps_root = find_op(node.op).is_view && !dropped[static_cast<size_t>(node.outputs[0])];
    for (ValueId input : node.inputs) {
      if (!is_activation(graph, input)) continue;
      auto producer = static_cast<size_t>(graph.value(input).producer);
      if (keeps_root || segments[producer] != segments[i]) dropped[static_cast<size_t>(input)] = false;
    }
  }
  // A view of what is kept costs nothing.
  for (size_t i = 0; i < segments.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (!find_op(node.op).is_view || dropped[static_cast<size_t>(node.inputs[0])]) continue;
    dropped[static_cast<size_t>(node.outputs[0])] = false;
  }
  return dropped;
}

// Writes the backward nodes, and before each the clones of what it is the first to read.
class Rewriter {
 public:
  Rewriter(Graph& graph, size_t forward_nodes, std::vector<bool> dropped)
      : graph_(graph),
        dropped_(std::move(dropped)),
        again_(dropped_.size(), no_id),
        backward_(graph.nodes.begin() + static_cast<std::ptrdiff_t>(forward_nodes), graph.nodes.end()) {
    graph_.nodes.resize(forward_nodes);
  }

  void run() {
    for (Node& node : backward_) {
      for (ValueId& input : node.inputs) input = again(input);
      graph_.nodes.push_back(std::move(node));
    }
    renumber_producers(graph_);
  }

 private:
  ValueId again(ValueId id) {
    if (id == no_id || static_cast<size_t>(id) >= dropped_.size() || !dropped_[static_cast<size_t>(id)])
      return id;
    if (again_[static_cast<size_t>(id)] == no_id) clone(static_cast<size_t>(graph_.value(id).producer));
    return again_[static_cast<size_t>(id)];
  }

  // Equal attributes: the same kernel, and the same draws of a dropout. Statistics went out with the first
  // run; the clone's are plain values that nobody reads.
  void clone(size_t index) {
    Node node = graph_.nodes[index];
    for (ValueId& input : node.inputs) input = again(input);
    for (ValueId& output : node.outputs) {
      const Value& value = graph_.value(output);
      ValueId copy = graph_.add_value(value.name + ".again", value.type, Role::activation);
      again_[static_cast<size_t>(output)] = copy;
      output = copy;
    }
    graph_.nodes.push_back(std::move(node));
  }

  Graph& graph_;
  std::vector<bool> dropped_;
  std::vector<ValueId> again_;  // by ValueId: its clone
  std::vector<Node> backward_;
};

}  // namespace

void recompute(Graph& graph, Recompute policy) {
  if (policy == Recompute::none) return;
  size_t forward_nodes = count_forward_nodes(graph);
  std::vector<int32_t> segments = segments_of_nodes(graph, forward_nodes, policy);
  Rewriter(graph, forward_nodes, choose_dropped(graph, segments)).run();
}

}  // namespace trireme
