// All that has happened in a sweep so far, as the journal's records say: what samplers suggest from and
// schedulers decide by. Both are pure functions of it, so a sweep that is read back goes on as it would have.
#pragma once

#include <cstdint>
#include <vector>

#include "sweep/record.h"
#include "sweep/trial.h"

namespace trireme {

class History {
 public:
  // `at_best`: a trial's scores are its best report's (objective.at = "best"), not the last's. With several
  // objectives the best report is that with the lowest first score among those that no other dominates.
  explicit History(bool at_best = false) : at_best_(at_best) {}

  // Throws DataError naming the record when it does not follow from those before (a report of a trial that
  // there is not, an end of one that has ended).
  void apply(const Record& record);

  // By number. One whose point is empty has been claimed by another worker of a job array, which has not told of
  // it yet: everybody passes it over.
  const std::vector<Trial>& trials() const { return trials_; }
  const Trial& trial(int64_t number) const { return trials_.at(static_cast<size_t>(number)); }
  int64_t records() const { return records_; }  // applied so far
  // Epochs trained over all trials, also such as were lost by a crash.
  int64_t epochs() const { return epochs_; }

 private:
  bool at_best_;
  std::vector<Trial> trials_;
  int64_t records_ = 0;
  int64_t epochs_ = 0;
};

// Whether `a` is no worse than `b` in all scores and better in one.
bool dominates(const std::vector<double>& a, const std::vector<double>& b);
// The trials that are finished or stopped, have scores, and are dominated by none such: of one objective the
// best alone.
std::vector<int64_t> pareto_front(const std::vector<Trial>& trials);

}  // namespace trireme
