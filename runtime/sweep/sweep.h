// A sweep: a function of (sweep config, ranks, folder).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "comm/mailbox.h"
#include "config/sweep_config.h"
#include "sweep/results.h"
#include "sweep/runner.h"

namespace trireme {

struct SweepOptions {
  std::filesystem::path folder;
  int64_t worker = 0;  // of a job array
  bool fresh = false;  // removes what an earlier sweep left in the folder, instead of going on with it
  // Polled on each rank: on rank 0 by the controller's thread alone, on others by that which called
  // run_sweep().
  std::function<bool()> stop_requested = {};
  // Rank 0, any thread: a line for people.
  std::function<void(const std::string&)> tell = [](const std::string&) {};
  // Rank 0, in a thread of its own: what has been found so far, now and then and at the end.
  std::function<void(const SweepView&, bool last)> publish = {};
};

// As told on rank 0; others know only `stopped`.
struct SweepResult {
  bool stopped = false;       // to be gone on with
  bool was_finished = false;  // an earlier start had spent the budget: nothing was done
  std::string reason;
  double seconds = 0;                // of this start
  double busy_share = 0;             // of ranks * seconds: training
  double slow_dispatch_seconds = 0;  // of a hundred such times 99 are no longer
  double dispatch_seconds = 0;       // median time from a rank's end of a trial to its next order
};

// Runs trials until the budget is spent or somebody asks to stop. Collective over the meeting's ranks; the
// config must be the same on all. Goes on with what the folder holds of the same sweep.
//
// Throws ConfigError where the folder holds another sweep (saying what differs), a trial may want more ranks
// than there are, or sampler and scheduler cannot serve; DataError for a damaged journal; ClaimError when
// another job works on it; IoError; CommError. Rank 0 throws the error itself,
// the others an Error of its code and message.
SweepResult run_sweep(const SweepConfig& config, const Config& base, Meeting& meeting,
                      const TrialRunner& runner, const SweepOptions& options);

// The ranks that a trial of this point has: sweep.ranks_per_trial, which may be a parameter.
int width_of(const SweepConfig& config, const Space& space, const Point& point);
// The fewest that any trial may have.
int least_width(const SweepConfig& config, const Space& space);
// Throws ConfigError when a trial may want more than `ranks`.
void require_widths(const SweepConfig& config, const Space& space, int ranks);

}  // namespace trireme
