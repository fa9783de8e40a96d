// The factor by which float16 programs multiply their gradients so that small ones do not vanish, and how it
// finds its size (Micikevicius et al., "Mixed precision training", arXiv 1710.03740, section 3.2): a step
// whose gradients overflow is left out and halves the factor; after a run of steps that went well it doubles.
// Every rank sees the same exchanged gradients, so all ranks' factors are the same without a word.
#pragma once

#include <cstdint>
#include <optional>

#include "config/config.h"

namespace trireme {

// What a checkpoint must hold.
struct LossScaleState {
  double scale = 1;
  int64_t good_steps = 0;  // since the scale last changed
  bool operator==(const LossScaleState&) const = default;
};

class LossScale {
 public:
  // Powers of two, so that scaling changes exponents only, between these ends. A gradient that is infinite
  // even at the smallest has another reason.
  static constexpr double smallest = 0x1p-14;
  static constexpr double largest = 0x1p24;

  // `first` is rounded down to a power of two. Doubles after `steps_to_double` good steps, at least 1.
  LossScale(double first, int64_t steps_to_double);

  double scale() const { return state_.scale; }
  // A step went well.
  void succeeded();
  // A step's gradients overflowed, and it was left out. False when the scale was the smallest already:
  // nothing is left to try.
  bool overflowed();
  // Back to how it began.
  void restart() { state_ = first_; }

  const LossScaleState& state() const { return state_; }
  void set_state(const LossScaleState& state) { state_ = state; }

 private:
  LossScaleState first_, state_;
  int64_t steps_to_double_;
};

// For train.precision = "float16"; nothing otherwise.
std::optional<LossScale> make_loss_scale(const TrainConfig& train);

}  // namespace trireme
