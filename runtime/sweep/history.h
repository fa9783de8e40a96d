// All that has happened in a sweep so far, as the journal's records say: what samplers suggest from and
// schedulers decide by. Both are pure functions of it, so a sweep that is read back goes on as it would have.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sweep/record.h"
#include "sweep/trial.h"

namespace trireme {

// What becomes of a trial, by its records:
//
//   suggest: waiting    begin: running    report: its scores    end: what the record says
//
// A running trial whose ranks are lost (a start after a crash, or an end as "interrupted" or "crashed") does
// what had been decided about it, if that was to stop or to pause; else it waits again. `attempts` counts
// begins from nothing and after crashes: a paused trial that is taken up keeps its attempt, and an
// interrupted one is given it back. After a crash a trial resumes from a checkpoint and reports epochs again:
// reports from there on are dropped.
class History {
 public:
  // `at_best`: a trial's scores are its best report's (objective.at = "best"), not the last's. With several
  // objectives the best report is that with the lowest first score among those that no other dominates.
  // `shared`: several workers (a job array) have claimed numbers, so that some may be missing for now.
  explicit History(bool at_best = false, bool shared = false) : at_best_(at_best), shared_(shared) {}

  // `worker`: whose journal has it; records of one worker come in their order, those of several in any.
  // Amortised O(1), a start O(trials). Throws DataError naming the record when it does not follow from those
  // before (a report of a trial that there is not, an end of one that has ended); the history is as it was
  // then.
  void apply(const Record& record, int64_t worker = 0);

  // By number. One whose point is empty has been claimed by another worker of a job array, which has not told
  // of it yet: everybody passes it over.
  const std::vector<Trial>& trials() const { return trials_; }
  const Trial& trial(int64_t number) const { return trials_.at(static_cast<size_t>(number)); }
  // Who has suggested it, and goes on with it; -1 where that is not known yet.
  int64_t worker_of(int64_t number) const { return inner_.at(static_cast<size_t>(number)).worker; }
  int64_t records() const { return records_; }  // applied so far
  // Epochs trained over all trials, also such as were lost by a crash.
  int64_t epochs() const { return epochs_; }

 private:
  enum class Pending { none, stop, pause };
  // What is known of a trial besides.
  struct Inner {
    int64_t worker = -1;
    Pending pending = Pending::none;  // decided, and not done yet
    std::string reason = {};          // of that
    double begun = 0;                 // the time of the record
    size_t best = 0;                  // of its reports, by at_best
  };
  struct Worker {
    bool closed = false;
    double last = 0;  // the time of the newest record
  };

  void apply(const StartRecord& start, int64_t worker, double time);
  void apply(const SuggestRecord& suggest, int64_t worker, double time);
  void apply(const BeginRecord& begin, int64_t worker, double time);
  void apply(const ReportRecord& report, int64_t worker, double time);
  void apply(const DecisionRecord& decision, int64_t worker, double time);
  void apply(const EndRecord& end, int64_t worker, double time);
  void apply(const CloseRecord& close, int64_t worker, double time);
  Trial& own_trial(int64_t number, int64_t worker);
  void check_point(const Point& point) const;
  void lose_ranks(Trial& trial, Inner& inner, bool counts);
  void note_end(Trial& trial) const;

  bool at_best_;
  bool shared_;
  std::optional<std::string> sweep_;  // of the first start
  size_t point_size_ = 0;
  size_t score_count_ = 0;
  std::vector<Trial> trials_;
  std::vector<Inner> inner_;
  std::map<int64_t, Worker> workers_;
  int64_t records_ = 0;
  int64_t epochs_ = 0;
};

// Whether `a` is no worse than `b` in all scores and better in one.
bool dominates(const std::vector<double>& a, const std::vector<double>& b);
// The trials that are finished or stopped, have scores, and are dominated by none such, by rising first
// score: of one objective the best alone (the first of several that are alike).
std::vector<int64_t> pareto_front(const std::vector<Trial>& trials);
// The same among those that count.
std::vector<int64_t> pareto_front(const std::vector<Trial>& trials,
                                  const std::function<bool(const Trial&)>& counts);

}  // namespace trireme
