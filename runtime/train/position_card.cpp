#include "train/position_card.h"

#include <cmath>

namespace trireme {

PositionCard card_of(const RunPosition& position, const LossScaleState& loss_scale) {
  PositionCard card;
  card.present = 1;
  card.step = position.step;
  card.samples = position.samples;
  card.train_seconds = position.train_seconds;
  card.learning_rate_factor = position.learning_rate_factor;
  card.skipped_steps = position.skipped_steps;
  card.loss_scale = loss_scale;
  if (position.validation) put_validation(*position.validation, card);
  return card;
}

RunPosition position_of(const PositionCard& card) {
  RunPosition position;
  if (card.present == 0) return position;
  position.step = card.step;
  position.samples = card.samples;
  position.train_seconds = card.train_seconds;
  position.learning_rate_factor = card.learning_rate_factor;
  position.skipped_steps = card.skipped_steps;
  if (card.has_validation != 0) {
    ValidationRecord record;
    record.step = card.validation_step;
    record.epoch = card.validation_epoch;
    record.loss = card.loss;
    auto figures = figures_of(record);
    for (size_t i = 0; i < figures.size(); ++i) {
      if (!std::isnan(card.figures[i])) *figures[i] = card.figures[i];
    }
    position.validation = record;
  }
  return position;
}

}  // namespace trireme
