#include "train/parameter_server/clocks.h"

#include <algorithm>

namespace trireme {

Clocks::Clocks(const Config& config, const RunLength& length, int64_t start_step)
    : length_(length),
      start_step_(start_step),
      period_(config.parameter_server.mode == "easgd"
                  ? std::min(config.parameter_server.easgd_period, length.steps_per_epoch)
                  : 1),
      clocks_per_epoch_((length.steps_per_epoch + period_ - 1) / period_),
      every_steps_(config.checkpoint.every_steps) {}

int64_t Clocks::clock_of(int64_t step) const {
  return step / length_.steps_per_epoch * clocks_per_epoch_ + step % length_.steps_per_epoch / period_;
}

int64_t Clocks::first_step_of(int64_t clock) const {
  return clock / clocks_per_epoch_ * length_.steps_per_epoch + clock % clocks_per_epoch_ * period_;
}

int64_t Clocks::begin_step(int64_t clock) const {
  return std::min(std::max(first_step_of(clock), start_step_), length_.total_steps);
}

int64_t Clocks::end_step(int64_t clock) const {
  return std::min(first_step_of(clock + 1), length_.total_steps);
}

int64_t Clocks::end() const {
  if (start_step_ >= length_.total_steps) return first();
  return clock_of(length_.total_steps - 1) + 1;
}

bool Clocks::is_cut(int64_t clock) const {
  if (clock <= first() || clock >= end()) return false;
  int64_t step = begin_step(clock);
  if (at_epoch_end(step)) return true;
  return every_steps_ > 0 && step / every_steps_ > begin_step(clock - 1) / every_steps_;
}

int64_t Clocks::next_cut(int64_t after) const {
  int64_t clock = after + 1;
  while (clock < end() && !is_cut(clock)) ++clock;
  return clock;
}

}  // namespace trireme
