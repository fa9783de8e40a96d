#include "train/parameter_server/mirror.h"

#include <algorithm>
#include <string_view>
#include <thread>

#include "base/error.h"
#include "optim/optimizer.h"
#include "train/placement.h"

namespace trireme {
namespace {

// A row of optimizer state: of which net, by which name, and which of its elements.
struct SlotPlace {
  const FlatSpan* part;
  std::string name;
};

// In the order of ShardUpdateRules::slots(), without memory for their values.
std::vector<SlotPlace> slot_places(const FlatShard& shard, std::span<const FlatNet> nets) {
  std::vector<SlotPlace> places;
  for (const FlatSpan& part : shard.parameters) {
    std::unique_ptr<Optimizer> optimizer = make_optimizer(nets[part.net].optimizer, {});
    for (const OptimizerMemory& memory : optimizer->memory()) places.push_back({&part, memory.name});
  }
  return places;
}

}  // namespace

Config mirror_config(const Config& config, int threads) {
  Config mirror = config;
  mirror.parallel.mode = "allreduce";
  if (mirror.train.threads == 0) mirror.train.threads = threads;
  return mirror;
}

int own_cores(int processes_here) {
  std::unique_ptr<Communicator> self = make_self_communicator();
  int cores = place_ranks(*self).cores;
  bool bound = cores < static_cast<int>(std::thread::hardware_concurrency());
  return bound ? std::max(cores, 1) : std::max(cores / std::max(processes_here, 1), 1);
}

Mirror::Mirror(const Config& config, int threads)
    : config_(mirror_config(config, threads)), self_(make_self_communicator()) {
  session_ = std::make_unique<Session>(config_, *self_);
  nets_ = flat_nets(*session_->learner);
}

void Mirror::load(const std::filesystem::path& checkpoints, Logger& log) {
  resumed_ = resume(*session_, checkpoints, log);
  if (config_.parameter_server.mode == "easgd") clear_slots(*session_->learner);
}

void Mirror::cut(int32_t shards) {
  PushTail tail = config_.parameter_server.mode == "easgd" ? PushTail::states : PushTail::statistics;
  shards_ = cut_flat_vector(nets_, static_cast<size_t>(shards), tail);
}

HostedShard Mirror::host(const Config& config, int32_t shard, int64_t pieces) {
  const FlatShard& flat = shards_.at(static_cast<size_t>(shard));
  UpdateRuleOptions options;
  options.pieces = pieces;
  options.learning_rate_factor = resumed_.position.learning_rate_factor;
  options.skipped_steps = resumed_.position.skipped_steps;
  rules_.push_back(std::make_unique<ShardUpdateRules>(config, session_->length, nets_, flat, options));
  ShardUpdateRules* rules = rules_.back().get();
  take_slots(*session_->learner, *rules);
  HostedShard hosted;
  hosted.shard = shard;
  hosted.layout = flat.layout;
  hosted.rules = rules;
  hosted.start_values = [this, &flat](std::span<float> values) {
    take_values(flat, *session_->learner, values);
  };
  hosted.slots = [rules](ShardState which) {
    std::vector<std::span<const float>> rows;
    for (const ShardSlot& slot : rules->slots())
      rows.push_back(which == ShardState::live ? slot.live : slot.cut);
    return rows;
  };
  return hosted;
}

void Mirror::take(std::span<const StateRow> rows) {
  for (const StateRow& row : rows) {
    const FlatShard& shard = shards_.at(static_cast<size_t>(row.shard));
    if (row.row > 0) {
      take_slot(shard, static_cast<size_t>(row.row - 1), row.values);
      continue;
    }
    if (row.values.size() != shard.layout.size()) {
      throw CommError("shard {} came with {} values in place of {}", row.shard, row.values.size(),
                      shard.layout.size());
    }
    put_values(shard, row.values, *session_->learner);
  }
  session_->learner->parameters_changed();
}

void Mirror::take_slot(const FlatShard& shard, size_t slot, std::span<const float> values) {
  std::vector<SlotPlace> places = slot_places(shard, nets_);
  if (slot >= places.size() || values.size() != places[slot].part->range.size()) {
    throw CommError("a server's optimizer state number {} of {} values is not this run's", slot,
                    values.size());
  }
  const SlotPlace& place = places[slot];
  for (StateSlot& state : session_->learner->nets()[place.part->net]->whole_state(true).slots) {
    if (state.name != place.name) continue;
    std::copy(values.begin(), values.end(),
              state.values.begin() + static_cast<ptrdiff_t>(place.part->range.begin));
    return;
  }
  throw CommError("the run's optimizer keeps no slot '{}', which the servers have", place.name);
}

}  // namespace trireme
