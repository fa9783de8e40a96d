#include "train/resume.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "checkpoint/load.h"
#include "train/average.h"
#include "train/position_card.h"
#include "train/tensor_views.h"
#include "train/together.h"

namespace trireme {
namespace {

// Names in CheckpointRun::numbers.
constexpr const char* rate_factor_number = "learning_rate_factor";
constexpr const char* virtual_ranks_number = "virtual_ranks";
constexpr const char* skipped_number = "skipped_steps";
constexpr const char* loss_scale_number = "loss_scale";
constexpr const char* good_steps_number = "loss_scale_good_steps";

double number_of(const CheckpointRun& run, const char* name, double absent) {
  auto found = run.numbers.find(name);
  return found == run.numbers.end() ? absent : found->second;
}

template <class From, class To>
void copy_figures(const From& from, To& to) {
  to.step = from.step;
  to.epoch = from.epoch;
  to.loss = from.loss;
  auto sources = figures_of(from);
  auto targets = figures_of(to);
  for (size_t i = 0; i < sources.size(); ++i) *targets[i] = *sources[i];
}

PositionCard card_of(const CheckpointRun& run) {
  PositionCard card;
  card.present = 1;
  card.step = run.step;
  card.samples = run.samples;
  card.train_seconds = run.train_seconds;
  card.learning_rate_factor = number_of(run, rate_factor_number, 1);
  card.skipped_steps = static_cast<int64_t>(number_of(run, skipped_number, 0));
  card.loss_scale = {number_of(run, loss_scale_number, 0),
                     static_cast<int64_t>(number_of(run, good_steps_number, 0))};
  if (run.validation) put_validation(*run.validation, card);
  return card;
}

// Of the run that made the checkpoint.
int64_t virtual_ranks_of(const CheckpointRun& run) {
  return static_cast<int64_t>(number_of(run, virtual_ranks_number, 0));
}

void warn_of_changes(const Session& session, const CheckpointRun& run, Logger& log) {
  if (run.dataset_identity != session.dataset_identity) {
    log.warning(
        "the training data is not what the checkpoint was made with; training goes on with the new data");
  }
  int64_t shards = session.config.parallel.virtual_ranks;
  int64_t former_shards = virtual_ranks_of(run);
  if (shards != former_shards) {
    log.warning("parallel.virtual_ranks was {} and is {} now: sums are rounded differently from here on",
                former_shards, shards);
  } else if (run.world_size != session.communicator.size() && shards > 0) {
    log.info(
        "the checkpoint was made by {} rank(s), now there are {}: with parallel.virtual_ranks = {} the same "
        "bits",
        run.world_size, session.communicator.size(), shards);
  } else if (run.world_size != session.communicator.size()) {
    log.info(
        "the checkpoint was made by {} rank(s), now there are {}: the same samples in every step, sums "
        "rounded "
        "differently",
        run.world_size, session.communicator.size());
  }
  if (run.samples > 0 && run.step > 0 && run.seed != static_cast<uint64_t>(session.config.run.seed)) {
    log.warning("run.seed was {} and is {} now: samples come in another order", run.seed,
                session.config.run.seed);
  }
}

// The slots of one name make one group, whichever nets they belong to.
OptimizerSlot& slot_named(const std::string& name, std::vector<OptimizerSlot>& slots) {
  for (OptimizerSlot& slot : slots) {
    if (slot.name == name) return slot;
  }
  return slots.emplace_back(OptimizerSlot{name, {}});
}

void append(std::vector<NamedTensor> tensors, std::vector<NamedTensor>& all) {
  all.insert(all.end(), tensors.begin(), tensors.end());
}

// Names and shapes alone.
std::vector<NamedTensor> empty_view(const std::vector<ArenaTensor>& tensors) {
  std::vector<NamedTensor> views;
  for (const ArenaTensor& tensor : tensors) views.push_back({tensor.name, tensor.shape, {}});
  return views;
}

void add_net(const Net& net, const WholeState& state, CheckpointContent& content) {
  const Arenas& arenas = net.arenas();
  append(read_view(arenas.layout.parameters, arenas.parameters.as<float>()), content.parameters);
  append(read_view(arenas.layout.states, arenas.state.as<float>()), content.states);
  for (const StateSlot& slot : state.slots) {
    OptimizerSlot& target = slot_named(slot.name, content.slots);
    target.later = slot.values.empty();
    append(target.later ? empty_view(arenas.layout.parameters)
                        : read_view(arenas.layout.parameters, slot.values.data()),
           target.tensors);
  }
}

SlotTarget& target_named(const std::string& name, std::vector<SlotTarget>& slots) {
  for (SlotTarget& slot : slots) {
    if (slot.name == name) return slot;
  }
  return slots.emplace_back(SlotTarget{name, {}});
}

void append(std::vector<MutableTensor> tensors, std::vector<MutableTensor>& all) {
  all.insert(all.end(), tensors.begin(), tensors.end());
}

LoadTargets load_targets(const Learner& learner, const std::vector<WholeState>& states) {
  LoadTargets targets;
  for (size_t i = 0; i < states.size(); ++i) {
    Arenas& arenas = learner.nets()[i]->arenas();
    append(write_view(arenas.layout.parameters, arenas.parameters.as<float>()), targets.parameters);
    append(write_view(arenas.layout.states, arenas.state.as<float>()), targets.states);
    for (const StateSlot& slot : states[i].slots) {
      append(write_view(arenas.layout.parameters, slot.values.data()),
             target_named(slot.name, targets.slots).tensors);
    }
  }
  return targets;
}

// Imported parameters are their own average.
void begin_averages(const Learner& learner, const std::vector<WholeState>& states) {
  for (size_t i = 0; i < states.size(); ++i) {
    for (const StateSlot& slot : states[i].slots) {
      if (slot.name != average_slot) continue;
      std::ranges::copy(learner.nets()[i]->arenas().parameters.span<const float>(), slot.values.begin());
    }
  }
}

// What does not fit is of another model or optimizer: says which this run has.
std::optional<LoadedCheckpoint> load(const Session& session, const std::filesystem::path& checkpoints,
                                     const LoadTargets& targets,
                                     const std::function<void(const std::string&)>& warn) {
  try {
    return load_newest_checkpoint(checkpoints, targets, warn);
  } catch (const CheckpointMismatch& error) {
    throw CheckpointMismatch("{} (this run has model.kind = \"{}\" and optimizer.kind = \"{}\")",
                             error.what(), session.config.model.kind, session.config.optimizer.kind);
  }
}

}  // namespace

CheckpointContent checkpoint_content(Session& session, const RunPosition& position) {
  CheckpointContent content;
  for (const auto& net : session.learner->nets()) add_net(*net, net->whole_state(false), content);
  CheckpointRun& run = content.run;
  run.step = position.step;
  run.epoch = session.epoch_of(position.step);
  run.samples = position.samples;
  run.seed = static_cast<uint64_t>(session.config.run.seed);
  run.world_size = session.communicator.size();
  run.config = dump_config(session.config);
  run.version = TRIREME_VERSION;
  run.dataset_identity = session.dataset_identity;
  if (position.validation) {
    copy_figures(*position.validation, run.validation.emplace());
  }
  run.train_seconds = position.train_seconds;
  if (position.learning_rate_factor != 1) run.numbers[rate_factor_number] = position.learning_rate_factor;
  if (const auto& scale = session.learner->loss_scale()) {
    run.numbers[loss_scale_number] = scale->state().scale;
    run.numbers[good_steps_number] = static_cast<double>(scale->state().good_steps);
  }
  if (session.config.parallel.virtual_ranks > 0) {
    run.numbers[virtual_ranks_number] = static_cast<double>(session.config.parallel.virtual_ranks);
  }
  if (position.skipped_steps > 0) run.numbers[skipped_number] = static_cast<double>(position.skipped_steps);
  return content;
}

void spread_net(Communicator& communicator, Net& net, const WholeState& state) {
  Arenas& arenas = net.arenas();
  communicator.broadcast(arenas.parameters.data(), arenas.parameters.bytes(), 0);
  communicator.broadcast(arenas.state.data(), arenas.state.bytes(), 0);
  net.spread_state(state);
}

Resumed resume(Session& session, const std::filesystem::path& checkpoints, Logger& log) {
  Learner& learner = *session.learner;
  auto nets = learner.nets();
  Resumed resumed;
  PositionCard card;
  std::vector<WholeState> states;
  for (const auto& net : nets) states.push_back(net->whole_state(session.communicator.rank() == 0));
  on_rank_zero(session.communicator, [&] {
    auto warn = [&log](const std::string& message) { log.warning("{}", message); };
    if (auto loaded = load(session, checkpoints, load_targets(learner, states), warn)) {
      if (!loaded->has_slots) begin_averages(learner, states);
      card = card_of(loaded->run);
      warn_of_changes(session, loaded->run, log);
      resumed.from = loaded->directory;
    }
  });
  session.communicator.broadcast(&card, sizeof card, 0);
  if (card.present != 0) {
    for (size_t i = 0; i < nets.size(); ++i) spread_net(session.communicator, *nets[i], states[i]);
    learner.parameters_changed();
    if (learner.loss_scale() && card.loss_scale.scale > 0) learner.loss_scale()->set_state(card.loss_scale);
  }
  resumed.position = position_of(card);
  return resumed;
}

}  // namespace trireme
