#include "train/loss_scale.h"

#include <algorithm>
#include <cmath>

namespace trireme {

LossScale::LossScale(double first, int64_t steps_to_double)
    : first_{std::clamp(std::exp2(std::floor(std::log2(first))), smallest, largest), 0},
      state_(first_),
      steps_to_double_(std::max<int64_t>(1, steps_to_double)) {}

void LossScale::succeeded() {
  if (++state_.good_steps < steps_to_double_) return;
  state_ = {std::min(state_.scale * 2, largest), 0};
}

bool LossScale::overflowed() {
  if (state_.scale <= smallest) return false;
  state_ = {state_.scale / 2, 0};
  return true;
}

std::optional<LossScale> make_loss_scale(const TrainConfig& train) {
  if (train.precision != "float16") return std::nullopt;
  return LossScale(train.loss_scale, train.loss_scale_steps);
}

}  // namespace trireme
