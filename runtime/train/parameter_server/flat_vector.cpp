#include "train/parameter_server/flat_vector.h"

#include <algorithm>

#include "base/error.h"
#include "optim/optimizer.h"
#include "train/strategies.h"

namespace trireme {
namespace {

// Where nets may be cut anywhere, cuts are looked for at so many places a shard.
constexpr size_t places_of_shard = 256;

bool moves_whole_tensors(const FlatNet& net) {
  return make_optimizer(net.optimizer, {})->cut() == Cut::at_tensors;
}

size_t round_up(size_t elements, size_t unit) { return (elements + unit - 1) / unit * unit; }

// Ends of what must stay together in the net's parameters: its tensors, or stretches of about `elements`.
std::vector<size_t> ends_of_atoms(const FlatNet& net, size_t elements) {
  std::vector<size_t> ends;
  if (moves_whole_tensors(net)) {
    for (const ParameterTensor& tensor : parameter_tensors(net.layout)) ends.push_back(tensor.range.end);
    return ends;
  }
  for (size_t end = elements; end < net.layout.parameter_elements; end += elements) ends.push_back(end);
  if (net.layout.parameter_elements > 0) ends.push_back(net.layout.parameter_elements);
  return ends;
}

// One run of atoms a shard: each takes atoms as long as that brings it nearer to an equal part of what is
// left, at least one, and leaves one at least to each shard behind it.
std::vector<size_t> bounds_of_shards(std::span<const size_t> atom_ends, size_t shards) {
  std::vector<size_t> bounds{0};
  size_t atom = 0;
  for (size_t shard = 0; shard + 1 < shards; ++shard) {
    size_t last = atom_ends.size() - (shards - shard);  // the last atom that it may have
    size_t ideal = bounds.back() + (atom_ends.back() - bounds.back()) / (shards - shard);
    size_t end = atom_ends[atom++];
    while (atom <= last && atom_ends[atom] <= ideal) end = atom_ends[atom++];
    if (atom <= last && end < ideal && atom_ends[atom] - ideal < ideal - end) end = atom_ends[atom++];
    bounds.push_back(end);
  }
  bounds.push_back(atom_ends.back());
  return bounds;
}

// Blocks of the shard's elements of one net.
void add_blocks(const FlatNet& net, const FlatSpan& span, size_t block_elements, std::vector<Range>& blocks) {
  size_t begin = span.range.begin;
  auto close = [&](size_t end) {
    if (end == begin) return;
    blocks.push_back({span.at + begin - span.range.begin, span.at + end - span.range.begin});
    begin = end;
  };
  size_t before = begin;
  for (size_t end : ends_of_atoms(net, block_elements)) {
    end = std::min(end, span.range.end);
    if (end <= before) continue;
    if (end - begin > block_elements) close(before);
    before = end;
  }
  close(before);
}

void add_states(std::span<const FlatNet> nets, PushTail tail, FlatShard& shard) {
  size_t begin = shard.layout.elements(), at = begin, tail_at = 0;
  for (size_t net = 0; net < nets.size(); ++net) {
    const ArenaLayout& layout = nets[net].layout;
    if (layout.state_elements > 0) shard.states.push_back({net, {0, layout.state_elements}, at});
    at += layout.state_elements;
    shard.statistics.push_back({net, {layout.parameter_elements, layout.gradient_elements}, tail_at});
    tail_at += layout.gradient_elements - layout.parameter_elements;
  }
  shard.layout.states = {begin, at};
  shard.layout.tail_elements = tail == PushTail::states ? at - begin : tail_at;
}

}  // namespace

std::vector<FlatNet> flat_nets(const Learner& learner) {
  std::vector<FlatNet> nets;
  for (const auto& net : learner.nets()) nets.push_back({net->arenas().layout, net->optimizer()});
  return nets;
}

std::vector<FlatShard> cut_flat_vector(std::span<const FlatNet> nets, size_t shards, PushTail tail,
                                       size_t block_elements) {
  size_t elements = 0;
  for (const FlatNet& net : nets) elements += net.layout.parameter_elements;
  size_t unit = std::max(arena_alignment, round_up(elements / (shards * places_of_shard), arena_alignment));
  std::vector<size_t> atom_ends;
  size_t begin = 0;
  for (const FlatNet& net : nets) {
    for (size_t end : ends_of_atoms(net, unit)) atom_ends.push_back(begin + end);
    begin += net.layout.parameter_elements;
  }
  if (atom_ends.size() < shards) {
    throw ConfigError(
        "parallel.parameter_server.servers: {} servers share the parameters, which can be cut into {} parts "
        "at "
        "most (at multiples of {}; with lamb and lars, between tensors): start fewer servers",
        shards, atom_ends.size(), arena_alignment);
  }
  std::vector<size_t> bounds = bounds_of_shards(atom_ends, shards);
  std::vector<FlatShard> cut(shards);
  for (size_t s = 0; s < shards; ++s) {
    FlatShard& shard = cut[s];
    shard.range = {bounds[s], bounds[s + 1]};
    size_t first = 0;
    for (size_t net = 0; net < nets.size(); ++net) {
      size_t end = first + nets[net].layout.parameter_elements;
      Range part{std::max(first, shard.range.begin), std::min(end, shard.range.end)};
      if (part.begin < part.end) {
        shard.parameters.push_back(
            {net, {part.begin - first, part.end - first}, part.begin - shard.range.begin});
        add_blocks(nets[net], shard.parameters.back(), round_up(block_elements, arena_alignment),
                   shard.layout.blocks);
      }
      first = end;
    }
    shard.layout.states = {shard.layout.elements(), shard.layout.elements()};
  }
  add_states(nets, tail, cut.front());
  return cut;
}

void take_values(const FlatShard& shard, const Learner& learner, std::span<float> vector) {
  auto take = [&](const FlatSpan& span, const Buffer& arena) {
    std::copy_n(arena.as<float>() + span.range.begin, span.range.size(), vector.data() + span.at);
  };
  for (const FlatSpan& span : shard.parameters) take(span, learner.nets()[span.net]->arenas().parameters);
  for (const FlatSpan& span : shard.states) take(span, learner.nets()[span.net]->arenas().state);
}

void put_values(const FlatShard& shard, std::span<const float> vector, Learner& learner) {
  auto put = [&](const FlatSpan& span, Buffer& arena) {
    std::copy_n(vector.data() + span.at, span.range.size(), arena.as<float>() + span.range.begin);
  };
  for (const FlatSpan& span : shard.parameters) put(span, learner.nets()[span.net]->arenas().parameters);
  for (const FlatSpan& span : shard.states) put(span, learner.nets()[span.net]->arenas().state);
}

ShardGradient::ShardGradient(const FlatShard& shard, const Learner& learner)
    : shard_(shard), learner_(learner) {
  values_ = show(shard.parameters, value_memory_);
  statistics_ = show(shard.statistics, statistic_memory_);
}

std::span<const float> ShardGradient::show(const std::vector<FlatSpan>& spans, Buffer& memory) const {
  if (spans.empty()) return {};
  if (spans.size() == 1) {
    const FlatSpan& span = spans.front();
    const Buffer& gradients = learner_.nets()[span.net]->arenas().gradients;
    return {gradients.as<float>() + span.range.begin, span.range.size()};
  }
  memory = Buffer((spans.back().at + spans.back().range.size()) * sizeof(float));
  return memory.span<float>();
}

void ShardGradient::copy(const std::vector<FlatSpan>& spans, Buffer& memory) const {
  if (memory.bytes() == 0) return;
  for (const FlatSpan& span : spans) {
    const Buffer& gradients = learner_.nets()[span.net]->arenas().gradients;
    std::copy_n(gradients.as<float>() + span.range.begin, span.range.size(), memory.as<float>() + span.at);
  }
}

void ShardGradient::collect() {
  copy(shard_.parameters, value_memory_);
  copy(shard_.statistics, statistic_memory_);
}

}  // namespace trireme
