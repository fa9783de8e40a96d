// Learning-rate schedules: pure functions of the step, so that a resumed run needs no schedule state.
#pragma once

#include <cstdint>

#include "config/config.h"

namespace trireme {

// How long the run is. total_steps >= 1, steps_per_epoch >= 1.
struct RunLength {
  int64_t total_steps = 1;
  int64_t steps_per_epoch = 1;
};

// The learning rate of `step` (from 0; steps past the end get the last one's). `base` is
// optimizer.learning_rate.
//
// constant, step, cosine: during the first w = warmup_steps steps the factor (step + 1) / (w + 1) is applied
// to the schedule's own value, so that step w is the first at full rate.
//   constant   base
//   step       base * gamma^k, k = boundaries passed: entries of step_epochs <= epoch, or epoch /
//   step_every_epochs cosine     after warm-up, from base at step w to base * final_fraction at the last step
//   along half a cosine
//              (Loshchilov and Hutter, "SGDR", 2017, without restarts)
//   one_cycle  cosine annealing from base / initial_divisor to base over peak_fraction of the steps, then
//   down to
//              base / initial_divisor / final_divisor at the last step (Smith and Topin, "Super-convergence",
//              2018; PyTorch's OneCycleLR); the rise is the warm-up, a warmup_steps beside it multiplies the
//              same factor
double learning_rate_at(int64_t step, const RunLength& length, double base, const ScheduleConfig& schedule);

}  // namespace trireme
