// One trial of a sweep: a point of the space, how it fared, and what became of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sweep/space.h"

namespace trireme {

enum class TrialState {
  waiting,  // suggested, not yet begun (or to be begun again after a restart)
  running,
  paused,    // its state is kept; a scheduler may take it up again
  finished,  // trained to its end
  stopped,   // a scheduler ended it early, or the sweep ended while it was paused
  failed,    // `reason` says why
};
std::string_view name_of(TrialState state);

// A validation. Scores are what is minimised: of an objective to be maximised the negative.
struct TrialReport {
  int64_t epoch = 0;  // whole epochs trained, from 1
  int64_t step = 0;
  double seconds = 0;          // of training, over all attempts that count
  std::vector<double> scores;  // one an objective; never nan
};

struct Trial {
  int64_t number = 0;  // from 0, in the order of suggestion
  Point point;         // as it is now; population-based training changes it on the way
  int width = 1;       // ranks
  TrialState state = TrialState::waiting;
  int attempts = 0;  // begun so often from nothing or after a crash; takings-up of a paused one do not count
  int64_t parent = -1;               // the trial that the sampler made it from, if any
  int64_t based_on = 0;              // records that its sampler had seen
  int64_t ended_at = -1;             // records before the one that first ended or paused it; -1: none has yet
  std::vector<TrialReport> reports;  // epochs rise
  std::vector<double> scores;        // what it has come to, by objective.at; empty before the first report
  std::string reason;                // of a failure, or why it was stopped
  double busy_seconds = 0;           // ranks * seconds that it held them
  int64_t epochs() const { return reports.empty() ? 0 : reports.back().epoch; }
  bool is_over() const {
    return state == TrialState::finished || state == TrialState::stopped || state == TrialState::failed;
  }
};

}  // namespace trireme
