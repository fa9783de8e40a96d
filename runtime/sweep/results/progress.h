// How far a sweep has come.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sweep/results.h"
#include "sweep/results/timeline.h"

namespace trireme {

struct SweepProgress {
  std::array<int64_t, 6> by_state{};  // trials, by TrialState
  int64_t trials = 0;                 // that are known: claimed ones are not
  double fraction = 0;                // of that part of the budget that is spent furthest
  std::string spent;  // "41/100 trials, 210/900 epochs"; "60/100 trials begun" where most are paused
  std::optional<double> seconds_left;

  int64_t count(TrialState state) const { return by_state[static_cast<size_t>(state)]; }
};

enum class SweepState { not_begun, running, finished, stopped };
std::string_view name_of(SweepState state);
// What its records say; of several workers running before finished before stopped.
SweepState state_of(const SweepView& view);

// The best so far: as pareto_front(), and of those that run or are paused, too. When a sweep is over the two
// are the same.
std::vector<int64_t> front_so_far(const SweepView& view);

// The rest of a budget of trials or epochs is thought to go on as it did so far. Running trials count by
// their epochs; paused ones too, but with asha and hyperband, where most of them stay as they are.
SweepProgress progress_of(const SweepView& view, const Timeline& timeline);

// "finished 23, stopped 12, failed 2, running 2": what there is of each, in the order of interest.
std::string states_text(const SweepProgress& progress);

}  // namespace trireme
