#include "train/resume.h"

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace trireme {
namespace {

std::vector<NamedTensor> read_view(const std::vector<ArenaTensor>& tensors, const float* arena) {
  std::vector<NamedTensor> view;
  for (const ArenaTensor& tensor : tensors) {
    view.push_back({tensor.name, tensor.shape, {arena + tensor.offset, tensor.size()}});
  }
  return view;
}

std::vector<MutableTensor> write_view(const std::vector<ArenaTensor>& tensors, float* arena) {
  std::vector<MutableTensor> view;
  for (const ArenaTensor& tensor : tensors) {
    view.push_back({tensor.name, tensor.shape, {arena + tensor.offset, tensor.size()}});
  }
  return view;
}

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

void check_slots(const Checkpoint& checkpoint, const std::vector<StateSlot>& slots,
                 const OptimizerConfig& optimizer) {
  std::vector<std::string> saved = checkpoint.slots();
  for (const StateSlot& slot : slots) {
    if (std::find(saved.begin(), saved.end(), slot.name) != saved.end()) continue;
    throw CheckpointError(
        "{}: has no optimizer state '{}', which optimizer.kind = \"{}\" needs (it has: {}): keep the "
        "optimizer the run was started with, or begin anew with --fresh",
        checkpoint.directory().string(), slot.name, optimizer.kind,
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

}  // namespace

CheckpointContent checkpoint_content(Session& session, const RunPosition& position) {
  const Arenas& arenas = session.arenas();
  CheckpointContent content;
  content.parameters = read_view(arenas.layout.parameters, arenas.parameters.as<float>());
  content.states = read_view(arenas.layout.states, arenas.state.as<float>());
  for (const StateSlot& slot : session.strategy->state_slots()) {
    content.slots.push_back({slot.name, read_view(arenas.layout.parameters, slot.values.data())});
  }
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
  Arenas& arenas = session.arenas();
  std::vector<StateSlot> slots = session.strategy->state_slots();
  PositionCard card{};
  if (checkpoint) {
    check_slots(*checkpoint, slots, session.config.optimizer);
    checkpoint->load_parameters(write_view(arenas.layout.parameters, arenas.parameters.as<float>()));
    checkpoint->load_states(write_view(arenas.layout.states, arenas.state.as<float>()));
    for (const StateSlot& slot : slots) {
      checkpoint->load_slot(slot.name, write_view(arenas.layout.parameters, slot.values.data()));
    }
    card = card_of(checkpoint->run());
    warn_of_changes(session, checkpoint->run(), log);
  }
  session.communicator.broadcast(&card, sizeof card, 0);
  if (card.step > 0) {
    session.communicator.broadcast(arenas.parameters.data(), arenas.parameters.bytes(), 0);
    session.communicator.broadcast(arenas.state.data(), arenas.state.bytes(), 0);
    for (const StateSlot& slot : slots) {
      session.communicator.broadcast(slot.values.data(), slot.values.size_bytes(), 0);
    }
    session.programs->parameters_changed();
  }
  return position_of_card(card);
}

}  // namespace trireme
