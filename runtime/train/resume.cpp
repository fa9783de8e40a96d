#include "train/resume.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "train/tensor_views.h"

namespace trireme {
namespace {

// The parts of a position that travel, as plain numbers.
struct PositionCard {
  int64_t step, samples;
  double train_seconds;
  int64_t has_validation, validation_step, validation_epoch;
  double validation_loss, validation_accuracy;
};

PositionCard card_of(const CheckpointRun& run) {
  PositionCard card{run.step, run.samples, run.train_seconds, run.validation ? 1 : 0, 0, 0, 0, 0};
  if (run.validation) {
    card.validation_step = run.validation->step;
    card.validation_epoch = run.validation->epoch;
    card.validation_loss = run.validation->loss;
    card.validation_accuracy = run.validation->accuracy;
  }
  return card;
}

RunPosition position_of_card(const PositionCard& card) {
  RunPosition position{card.step, card.samples, card.train_seconds, std::nullopt};
  if (card.has_validation != 0) {
    position.validation = ValidationRecord{card.validation_step, card.validation_epoch, card.validation_loss,
                                           card.validation_accuracy};
  }
  return position;
}

void check_slots(const Checkpoint& checkpoint, Net& net) {
  std::vector<std::string> saved = checkpoint.slots();
  for (const StateSlot& slot : net.state_slots()) {
    if (std::find(saved.begin(), saved.end(), slot.name) != saved.end()) continue;
    throw CheckpointError(
        "{}: has no optimizer state '{}', which optimizer.kind = \"{}\" needs (it has: {}): keep the "
        "optimizer the run was started with, or begin anew with --fresh",
        checkpoint.directory().string(), slot.name, net.optimizer().kind,
        saved.empty() ? "none" : fmt::format("{}", fmt::join(saved, ", ")));
  }
}

void warn_of_changes(const Session& session, const CheckpointRun& run, Logger& log) {
  if (run.dataset_identity != session.dataset_identity) {
    log.warning(
        "the training data is not what the checkpoint was made with; training goes on with the new data");
  }
  if (run.world_size != session.communicator.size()) {
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

void add_net(Net& net, CheckpointContent& content) {
  const Arenas& arenas = net.arenas();
  append(read_view(arenas.layout.parameters, arenas.parameters.as<float>()), content.parameters);
  append(read_view(arenas.layout.states, arenas.state.as<float>()), content.states);
  for (const StateSlot& slot : net.state_slots()) {
    append(read_view(arenas.layout.parameters, slot.values.data()),
           slot_named(slot.name, content.slots).tensors);
  }
}

void load_net(const Checkpoint& checkpoint, Net& net) {
  Arenas& arenas = net.arenas();
  checkpoint.load_parameters(write_view(arenas.layout.parameters, arenas.parameters.as<float>()));
  checkpoint.load_states(write_view(arenas.layout.states, arenas.state.as<float>()));
  for (const StateSlot& slot : net.state_slots()) {
    checkpoint.load_slot(slot.name, write_view(arenas.layout.parameters, slot.values.data()));
  }
}

void broadcast_net(Communicator& communicator, Net& net) {
  Arenas& arenas = net.arenas();
  communicator.broadcast(arenas.parameters.data(), arenas.parameters.bytes(), 0);
  communicator.broadcast(arenas.state.data(), arenas.state.bytes(), 0);
  for (const StateSlot& slot : net.state_slots()) {
    communicator.broadcast(slot.values.data(), slot.values.size_bytes(), 0);
  }
}

}  // namespace

CheckpointContent checkpoint_content(Session& session, const RunPosition& position) {
  CheckpointContent content;
  for (const auto& net : session.learner->nets()) add_net(*net, content);
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
    const ValidationRecord& last = *position.validation;
    run.validation = CheckpointValidation{last.step, last.epoch, last.loss, last.accuracy};
  }
  run.train_seconds = position.train_seconds;
  return content;
}

RunPosition resume(Session& session, const std::optional<Checkpoint>& checkpoint, Logger& log) {
  Learner& learner = *session.learner;
  PositionCard card{};
  if (checkpoint) {
    for (const auto& net : learner.nets()) check_slots(*checkpoint, *net);
    for (const auto& net : learner.nets()) load_net(*checkpoint, *net);
    card = card_of(checkpoint->run());
    warn_of_changes(session, checkpoint->run(), log);
  }
  session.communicator.broadcast(&card, sizeof card, 0);
  if (card.step > 0) {
    for (const auto& net : learner.nets()) broadcast_net(session.communicator, *net);
    learner.parameters_changed();
  }
  return position_of_card(card);
}

}  // namespace trireme
