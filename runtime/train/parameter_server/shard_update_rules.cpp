#include "train/parameter_server/shard_update_rules.h"

#include <algorithm>

#include "base/error.h"
#include "optim/groups.h"
#include "train/running_means.h"
#include "train/shards.h"
#include "train/strategies.h"

namespace trireme {
namespace {

// The net's spans that lie in `part`, as elements of the shard's vector.
std::vector<UpdateSpan> spans_in_shard(const FlatNet& net, const FlatSpan& part) {
  std::vector<UpdateSpan> spans = update_spans(parameter_tensors(net.layout), net.optimizer);
  spans = owned_spans(spans, std::span(&part.range, 1));
  for (UpdateSpan& span : spans) {
    span.range = {span.range.begin - part.range.begin + part.at, span.range.end - part.range.begin + part.at};
  }
  return spans;
}

std::span<float> values_of(Optimizer& optimizer, size_t slot) {
  return optimizer.memory()[slot].values.span<float>();
}

// Where the learner has the slot.
std::span<float> slot_of(Learner& learner, const ShardSlot& slot) {
  for (const StateSlot& state : learner.nets()[slot.net]->whole_state(true).slots) {
    if (state.name == slot.name) return state.values.subspan(slot.range.begin, slot.range.size());
  }
  throw CheckpointError("{}: the run's optimizer keeps no slot '{}', which the servers have",
                        learner.nets()[slot.net]->name(), slot.name);
}

}  // namespace

ShardUpdateRules::ShardUpdateRules(const Config& config, const RunLength& length,
                                   std::span<const FlatNet> nets, const FlatShard& shard,
                                   const UpdateRuleOptions& options)
    : mode_(config.parameter_server),
      schedule_(config.schedule),
      length_(length),
      options_(options),
      shard_(shard) {
  for (size_t net = 0; net < nets.size(); ++net) {
    nets_.push_back({net, nets[net].layout, nets[net].optimizer, {}, nullptr, nullptr});
  }
  for (const FlatSpan& part : shard.parameters) {
    OfNet& net = nets_[part.net];
    net.parameters = part;
    if (mode_.mode == "easgd") continue;
    std::vector<UpdateSpan> spans = spans_in_shard(nets[part.net], part);
    net.live = make_optimizer(net.optimizer, spans);
    net.cut = make_optimizer(net.optimizer, std::move(spans));
  }
  if (mode_.mode == "dcasgd") corrected_ = Buffer(shard.layout.elements() * sizeof(float));
}

ShardUpdateRules::OfNet& ShardUpdateRules::net_at(size_t element) {
  for (OfNet& net : nets_) {
    const FlatSpan& part = net.parameters;
    if (part.at <= element && element < part.at + part.range.size()) return net;
  }
  throw GraphError("element {} belongs to none of the nets of this shard", element);
}

void ShardUpdateRules::update(size_t block_index, Range block, float* values, const float* gradient,
                              const float* pulled, const UpdateInfo& info, ShardState which) {
  if (mode_.mode == "easgd") {
    for (size_t i = 0; i < block.size(); ++i) values[block.begin + i] += gradient[i];
    return;
  }
  double share = static_cast<double>(info.pieces_added) / static_cast<double>(options_.pieces);
  if (block_index == shard_.layout.blocks.size()) return update_states(values, gradient, share);
  OfNet& net = net_at(block.begin);
  UpdateStep step;
  step.learning_rate = learning_rate_at(info.clock, length_, net.optimizer.learning_rate, schedule_) *
                       options_.learning_rate_factor * share;
  if (mode_.scale_by_staleness) {
    step.learning_rate /=
        std::max(1.0, static_cast<double>(info.staleness) / static_cast<double>(options_.pieces));
  }
  step.step = info.clock - options_.skipped_steps;
  bool whole = info.pieces_added == options_.pieces;
  if (!whole) step.step = step.step * options_.pieces + info.piece;
  step.gradient_scale = 1 / share;
  if (mode_.mode == "dcasgd") {
    gradient = corrected(block, values, gradient, pulled, share);
    step.gradient_scale = 1;
  }
  // Rules count from the first element of the vector.
  Optimizer& optimizer = which == ShardState::live ? *net.live : *net.cut;
  optimizer.update(block, values, gradient - block.begin, step);
}

void ShardUpdateRules::update_states(float* values, const float* tail, double share) const {
  for (const FlatSpan& state : shard_.states) {
    auto same_net = [&](const FlatSpan& statistics) { return statistics.net == state.net; };
    auto statistics = std::find_if(shard_.statistics.begin(), shard_.statistics.end(), same_net);
    move_running_means(nets_[state.net].layout, tail + statistics->at, values + state.at, share);
  }
}

const float* ShardUpdateRules::corrected(Range block, const float* values, const float* gradient,
                                         const float* pulled, double share) {
  if (pulled == nullptr) {
    throw CommError("dcasgd: a push lacks the parameters that its gradient was computed with");
  }
  float* out = corrected_.as<float>() + block.begin;
  const float* now = values + block.begin;
  auto scale = static_cast<float>(1 / share);
  auto lambda = static_cast<float>(mode_.dcasgd_lambda);
  for (size_t i = 0; i < block.size(); ++i) {
    float mean = scale * gradient[i];
    out[i] = mean + lambda * mean * mean * (now[i] - pulled[i]);
  }
  return out;
}

void ShardUpdateRules::copy_slots(size_t block_index, Range block) {
  if (mode_.mode == "easgd" || block_index == shard_.layout.blocks.size()) return;
  OfNet& net = net_at(block.begin);
  for (size_t slot = 0; slot < net.live->memory().size(); ++slot) {
    std::span<float> from = values_of(*net.live, slot).subspan(block.begin - net.parameters.at, block.size());
    std::copy(from.begin(), from.end(),
              values_of(*net.cut, slot).begin() + static_cast<ptrdiff_t>(block.begin - net.parameters.at));
  }
}

std::vector<ShardSlot> ShardUpdateRules::slots() {
  std::vector<ShardSlot> slots;
  for (OfNet& net : nets_) {
    if (!net.live) continue;
    for (size_t i = 0; i < net.live->memory().size(); ++i) {
      slots.push_back({net.number, net.live->memory()[i].name, net.parameters.range, values_of(*net.live, i),
                       values_of(*net.cut, i)});
    }
  }
  return slots;
}

void take_slots(Learner& learner, ShardUpdateRules& rules) {
  for (const ShardSlot& slot : rules.slots()) {
    std::span<float> from = slot_of(learner, slot);
    std::copy(from.begin(), from.end(), slot.live.begin());
  }
}

void clear_slots(Learner& learner) {
  for (const auto& net : learner.nets()) {
    for (const StateSlot& slot : net->whole_state(true).slots)
      std::fill(slot.values.begin(), slot.values.end(), 0.0f);
  }
}

void put_slots(ShardUpdateRules& rules, ShardState which, Learner& learner) {
  for (const ShardSlot& slot : rules.slots()) {
    std::span<float> from = which == ShardState::live ? slot.live : slot.cut;
    std::copy(from.begin(), from.end(), slot_of(learner, slot).begin());
  }
}

}  // namespace trireme
