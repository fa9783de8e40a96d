// What samplers that build a model learn from: every trial that tells something, in one of four kinds.
#pragma once

#include <cstdint>
#include <vector>

#include "sweep/history.h"

namespace trireme {

struct Observation {
  enum class Kind {
    finished,
    partial,  // stopped or paused: scores of fewer epochs than it could have had
    failed,   // a bad point: no scores
    pending,  // waiting or running: no scores yet
  };
  int64_t trial = 0;
  Kind kind = Kind::pending;
  int64_t epochs = 0;
  Point point;
  std::vector<double> scores;  // finite; one an objective; empty unless finished or partial
};

// Of all trials but `number`, by number. Those that were ended before they told anything are left out, and so
// are such as have no point yet; a trial whose scores are not all finite counts as failed.
std::vector<Observation> observe(const History& history, int64_t number);

// How many of a kind that has been trained: finished, partial or failed.
int64_t count_ended(const std::vector<Observation>& observations);

// Finished and partial ones, best first: the indices. One objective: finished ones by score, then partial
// ones, those of more epochs first, by score (as Optuna orders its pruned trials). Several: by the rank of
// the front that they are in (Deb et al., NSGA-II, 2002), within one the less crowded first; partial ones
// behind finished ones.
std::vector<size_t> best_first(const std::vector<Observation>& observations);

// Scores of one objective as they would be had every trial been trained as long as the longest: of a partial
// trial that was left at epoch e, its score plus the median of what trials that went on from e gained
// afterwards. `at_best`: scores are the best reports' (objective.at). In the order of `observations`; nan
// where there are none.
std::vector<double> expected_scores(const History& history, const std::vector<Observation>& observations,
                                    size_t objective, bool at_best);

}  // namespace trireme
