// A run's position as plain numbers: as it travels between ranks, and as checkpoints tell it.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "train/session.h"

namespace trireme {

struct PositionCard {
  int64_t present = 0;  // 0: there is nothing to go on from
  int64_t step = 0, samples = 0;
  double train_seconds = 0;
  double learning_rate_factor = 1;
  int64_t skipped_steps = 0;
  LossScaleState loss_scale = {.scale = 0};  // scale 0: it has none
  int64_t has_validation = 0, validation_step = 0, validation_epoch = 0;
  double loss = 0;
  std::array<double, 4> figures = {};  // nan: the model has none such
};

// Both kinds of record (telemetry's and the checkpoint's) in one order.
template <class Record>
auto figures_of(Record& record) {
  return std::array{&record.accuracy, &record.perplexity, &record.generator_loss, &record.discriminator_loss};
}

template <class Record>
void put_validation(const Record& record, PositionCard& card) {
  card.has_validation = 1;
  card.validation_step = record.step;
  card.validation_epoch = record.epoch;
  card.loss = record.loss;
  auto figures = figures_of(record);
  for (size_t i = 0; i < figures.size(); ++i) card.figures[i] = figures[i]->value_or(std::nan(""));
}

PositionCard card_of(const RunPosition& position, const LossScaleState& loss_scale);
// The start of a run, where there is nothing.
RunPosition position_of(const PositionCard& card);

}  // namespace trireme
