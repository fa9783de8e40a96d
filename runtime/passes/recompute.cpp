#include <algorithm>
#include <cmath>
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

// Bytes that each layer's values take for as long as the backward pass waits for them, by Node::layer.
std::map<int32_t, size_t> bytes_by_layer(const Graph& graph, size_t forward_nodes) {
  std::vector<bool> counted(graph.values.size(), false);
  std::map<int32_t, size_t> bytes;
  auto layer_of = [&](ValueId id) { return graph.nodes[static_cast<size_t>(graph.value(id).producer)].layer; };
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (i < forward_nodes && node.layer >= 0) bytes.try_emplace(node.layer, 0);
    for (ValueId input : node.inputs) {
      if (!is_activation(graph, input) || counted[static_cast<size_t>(input)]) continue;
      auto producer = static_cast<size_t>(graph.value(input).producer);
      bool forward = producer < forward_nodes && layer_of(input) >= 0;
      bool waits = i >= forward_nodes || node.layer != layer_of(input);
      if (!forward || !waits || find_op(graph.nodes[producer].op).is_view) continue;
      counted[static_cast<size_t>(input)] = true;
      bytes[layer_of(input)] += graph.value(input).type.bytes();
    }
  }
  return bytes;
}

// Cuts the layers, in order, into segments none of which holds more than `limit` bytes, unless a layer alone does.
std::map<int32_t, int32_t> cut_at(const std::map<int32_t, size_t>& bytes, size_t limit) {
  std::map<int32_t, int32_t> segment_of;
  int32_t segment = 0;
  size_t sum = 0;
  for (const auto& [layer, size] : bytes) {
    if (sum > 0 && sum + size > limit) {
      ++segment;
      sum = 0;
    }
    sum += size;
    segment_of[layer] = segment;
  }
  return segment_of;
}

// The least limit with which no more than `wanted` segments come out, by bisection.
std::map<int32_t, int32_t> cut_evenly(const std::map<int32_t, size_t>& bytes, int32_t wanted) {
  size_t high = 1;
  for (const auto& [layer, size] : bytes) high += size;
  size_t low = 0;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    (cut_at(bytes, middle).rbegin()->second < wanted ? high : low) = middle;
  }
  return cut_at(bytes, high);
}

std::map<int32_t, int32_t> segments_by_layer(const std::map<int32_t, size_t>& bytes, Recompute policy) {
  if (policy == Recompute::layer) return cut_at(bytes, 0);
  auto wanted = static_cast<int32_t>(std::lround(std::sqrt(static_cast<double>(bytes.size()))));
  return cut_evenly(bytes, wanted);
}

// The segment of each forward node. The last one's values are needed as soon as they are there: it is none.
std::vector<int32_t> segments_of_nodes(const Graph& graph, size_t forward_nodes, Recompute policy) {
  std::vector<int32_t> segments(forward_nodes, no_segment);
  std::map<int32_t, size_t> bytes = bytes_by_layer(graph, forward_nodes);
  if (bytes.empty()) return segments;
  std::map<int32_t, int32_t> by_layer = segments_by_layer(bytes, policy);
  int32_t last = by_layer.rbegin()->second;
  for (size_t i = 0; i < forward_nodes; ++i) {
    if (graph.nodes[i].layer < 0) continue;
    int32_t segment = by_layer.at(graph.nodes[i].layer);
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
    if (id == no_id || static_cast<size_t>(id) >= dropped_.size() || !dropped_[static_cast<size_t>(id)]) return id;
    if (again_[static_cast<size_t>(id)] == no_id) clone(static_cast<size_t>(graph_.value(id).producer));
    return again_[static_cast<size_t>(id)];
  }

  // Equal attributes: the same kernel, and the same draws of a dropout. Statistics went out with the first run; the
  // clone's are plain values that nobody reads.
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
