// Clocks of a run: what one ticket's batch is, in steps.
#pragma once

#include <cstdint>

#include "config/config.h"
#include "optim/schedule.h"

namespace trireme {

// A clock is one step; with mode = "easgd" a round of `period` steps, which a worker does by itself between
// two exchanges. Rounds begin anew with every epoch, so that epochs end where rounds do: the last round of an
// epoch may be shorter. A run that starts in the middle of a round does the rest of it.
class Clocks {
 public:
  // The run does steps start_step .. length.total_steps - 1.
  Clocks(const Config& config, const RunLength& length, int64_t start_step);

  // Clocks of this run: first() .. end() - 1; none where start_step is total_steps.
  int64_t first() const { return clock_of(start_step_); }
  int64_t end() const;
  // The clock that step `step` belongs to.
  int64_t clock_of(int64_t step) const;
  // Steps [begin_step(c), end_step(c)) are clock c's. After all clocks below c, begin_step(c) steps are done.
  int64_t begin_step(int64_t clock) const;
  int64_t end_step(int64_t clock) const;

  // After `step` steps, is the epoch over?
  bool at_epoch_end(int64_t step) const { return step > 0 && step % length_.steps_per_epoch == 0; }
  // Whether a checkpoint is due after all clocks below `clock`: at epoch ends, and where a multiple of
  // checkpoint.every_steps has been reached since the clock before.
  bool is_cut(int64_t clock) const;
  // The least clock above `after` of which is_cut() is true; end() or more where there is none.
  int64_t next_cut(int64_t after) const;

 private:
  int64_t first_step_of(int64_t clock) const;

  RunLength length_;
  int64_t start_step_;
  int64_t period_;  // steps of a clock
  int64_t clocks_per_epoch_;
  int64_t every_steps_;
};

}  // namespace trireme
