#include "sweep/history.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace trireme {
namespace {

struct Name {
  std::string_view operator()(const StartRecord&) const { return "start"; }
  std::string_view operator()(const SuggestRecord&) const { return "suggest"; }
  std::string_view operator()(const BeginRecord&) const { return "begin"; }
  std::string_view operator()(const ReportRecord&) const { return "report"; }
  std::string_view operator()(const DecisionRecord&) const { return "decision"; }
  std::string_view operator()(const EndRecord&) const { return "end"; }
  std::string_view operator()(const CloseRecord&) const { return "close"; }
};

void require_state(const Trial& trial, TrialState state, std::string_view what) {
  if (trial.state == state) return;
  throw DataError("trial {} cannot {}: it is {}, not {}", trial.number, what, name_of(trial.state),
                  name_of(state));
}

}  // namespace

std::string_view name_of(TrialState state) {
  switch (state) {
    case TrialState::waiting:
      return "waiting";
    case TrialState::running:
      return "running";
    case TrialState::paused:
      return "paused";
    case TrialState::finished:
      return "finished";
    case TrialState::stopped:
      return "stopped";
    case TrialState::failed:
      return "failed";
  }
  throw Error(ExitCode::internal, "a trial's state without a name");
}

void History::apply(const Record& record, int64_t worker) {
  try {
    auto known = workers_.find(worker);
    if (known != workers_.end() && known->second.closed &&
        !std::holds_alternative<StartRecord>(record.what)) {
      throw DataError("the sweep has been closed before, and not started again");
    }
    std::visit([&](const auto& what) { apply(what, worker, record.time); }, record.what);
  } catch (const DataError& error) {
    throw DataError("record {} ('{}'): {}", record.number, std::visit(Name{}, record.what), error.what());
  }
  workers_[worker].last = record.time;
  ++records_;
}

void History::apply(const StartRecord& start, int64_t worker, double) {
  if (sweep_ && start.sweep != *sweep_) {
    throw DataError("it is the start of another sweep ({}, not {}): its space, objectives or seed are others",
                    start.sweep, *sweep_);
  }
  sweep_ = start.sweep;
  Worker& own = workers_[worker];
  own.closed = false;
  for (size_t i = 0; i < trials_.size(); ++i) {
    if (inner_[i].worker != worker || trials_[i].state != TrialState::running) continue;
    // The ranks were held until the crash, of which the newest record before it is the best witness.
    trials_[i].busy_seconds += std::max(0.0, own.last - inner_[i].begun) * trials_[i].width;
    lose_ranks(trials_[i], inner_[i], true);
  }
}

void History::apply(const SuggestRecord& suggest, int64_t worker, double) {
  auto next = static_cast<int64_t>(trials_.size());
  bool doubled = suggest.trial < next && suggest.trial >= 0 && !trial(suggest.trial).point.empty();
  if (doubled) throw DataError("trial {} has been suggested before", suggest.trial);
  if (suggest.trial < 0 || (suggest.trial > next && !shared_)) {
    throw DataError("it suggests trial {}, but the next is {}", suggest.trial, next);
  }
  check_point(suggest.point);
  if (suggest.width < 1) throw DataError("trial {} has a width of {}", suggest.trial, suggest.width);
  // In a job array the parent may be a trial of another worker that we have not heard of.
  bool is_parent =
      suggest.parent >= -1 && suggest.parent != suggest.trial && (shared_ || suggest.parent < suggest.trial);
  if (!is_parent) throw DataError("trial {} has trial {} for a parent", suggest.trial, suggest.parent);
  point_size_ = suggest.point.size();
  for (int64_t number = next; number <= suggest.trial; ++number) {
    trials_.emplace_back().number = number;
    inner_.emplace_back();
  }
  Trial& trial = trials_[static_cast<size_t>(suggest.trial)];
  trial.point = suggest.point;
  trial.width = suggest.width;
  trial.parent = suggest.parent;
  trial.based_on = suggest.based_on;
  inner_[static_cast<size_t>(suggest.trial)].worker = worker;
}

void History::apply(const BeginRecord& begin, int64_t worker, double time) {
  Trial& trial = own_trial(begin.trial, worker);
  require_state(trial, begin.resumed ? TrialState::paused : TrialState::waiting, "be taken up");
  int attempt = trial.attempts + (begin.resumed ? 0 : 1);
  if (begin.attempt != attempt) {
    throw DataError("trial {} is begun for the {}. time, but this would be the {}.", begin.trial,
                    begin.attempt, attempt);
  }
  if (begin.source >= 0) {
    own_trial(begin.source, worker);
    if (begin.source == begin.trial) throw DataError("trial {} is its own source", begin.trial);
    check_point(begin.point);
    trial.point = begin.point;
  }
  trial.attempts = attempt;
  trial.state = TrialState::running;
  trial.reason.clear();
  Inner& inner = inner_[static_cast<size_t>(begin.trial)];
  inner.begun = time;
  inner.pending = Pending::none;
}

void History::apply(const ReportRecord& report, int64_t worker, double) {
  Trial& trial = own_trial(report.trial, worker);
  Inner& inner = inner_[static_cast<size_t>(report.trial)];
  require_state(trial, TrialState::running, "report");
  if (inner.pending != Pending::none) {
    throw DataError("trial {} reports epoch {} though it was told to end", report.trial, report.epoch);
  }
  if (report.epoch < 1) throw DataError("trial {} reports epoch {}", report.trial, report.epoch);
  if (report.scores.empty() || (score_count_ > 0 && report.scores.size() != score_count_)) {
    throw DataError("trial {} reports {} scores, not {}", report.trial, report.scores.size(),
                    std::max<size_t>(score_count_, 1));
  }
  for (double score : report.scores) {
    if (std::isnan(score)) throw DataError("trial {} reports a score that is no number", report.trial);
  }
  score_count_ = report.scores.size();
  std::vector<TrialReport>& reports = trial.reports;
  while (!reports.empty() && reports.back().epoch >= report.epoch) reports.pop_back();
  epochs_ += report.epoch - trial.epochs();
  reports.push_back({report.epoch, report.step, report.seconds, report.scores});
  // The least in the order of words has the lowest first score, and nothing dominates it.
  auto less = [](const TrialReport& a, const TrialReport& b) { return a.scores < b.scores; };
  if (inner.best + 1 >= reports.size()) {  // the best so far was dropped, or there was none
    inner.best =
        static_cast<size_t>(std::min_element(reports.begin(), reports.end(), less) - reports.begin());
  } else if (less(reports.back(), reports[inner.best])) {
    inner.best = reports.size() - 1;
  }
  trial.scores = at_best_ ? reports[inner.best].scores : report.scores;
}

void History::apply(const DecisionRecord& decision, int64_t worker, double) {
  Trial& trial = own_trial(decision.trial, worker);
  Inner& inner = inner_[static_cast<size_t>(decision.trial)];
  require_state(trial, TrialState::running, "be told to end");
  if (decision.verdict != "stop" && decision.verdict != "pause") {
    throw DataError("'{}' is no verdict (stop, pause)", decision.verdict);
  }
  if (trial.reports.empty() || trial.epochs() != decision.epoch) {
    throw DataError("it is about epoch {} of trial {}, whose newest report is of epoch {}", decision.epoch,
                    decision.trial, trial.epochs());
  }
  inner.pending = decision.verdict == "stop" ? Pending::stop : Pending::pause;
  inner.reason = decision.reason;
}

void History::apply(const EndRecord& end, int64_t worker, double) {
  Trial& trial = own_trial(end.trial, worker);
  Inner& inner = inner_[static_cast<size_t>(end.trial)];
  bool closing = end.state == "stopped" || end.state == "failed";
  bool idle = trial.state == TrialState::waiting || trial.state == TrialState::paused;
  if (!(closing && idle)) require_state(trial, TrialState::running, "end as " + end.state);
  if (end.state == "finished") {
    trial.state = TrialState::finished;
  } else if (end.state == "stopped") {
    trial.state = TrialState::stopped;
  } else if (end.state == "failed") {
    trial.state = TrialState::failed;
  } else if (end.state == "paused") {
    trial.state = TrialState::paused;
  } else if (end.state == "interrupted" || end.state == "crashed") {
    lose_ranks(trial, inner, end.state == "crashed");
  } else {
    throw DataError("'{}' is no end of a trial (finished, stopped, failed, paused, interrupted, crashed)",
                    end.state);
  }
  if (closing || trial.state == TrialState::paused) {
    // Why it was to end stands in the decision: who trained it knows only that it was told to.
    bool decided = inner.pending != Pending::none && trial.state != TrialState::failed;
    trial.reason = end.reason.empty() && decided ? inner.reason : end.reason;
  }
  if (!idle) trial.busy_seconds += end.seconds * trial.width;
  inner.pending = Pending::none;
  note_end(trial);
}

void History::apply(const CloseRecord& close, int64_t worker, double) {
  if (close.state != "finished" && close.state != "stopped") {
    throw DataError("'{}' is no end of a sweep (finished, stopped)", close.state);
  }
  workers_[worker].closed = true;
}

Trial& History::own_trial(int64_t number, int64_t worker) {
  if (number < 0 || std::cmp_greater_equal(number, trials_.size()) || trial(number).point.empty()) {
    throw DataError("there is no trial {}", number);
  }
  int64_t owner = inner_[static_cast<size_t>(number)].worker;
  if (owner != worker) throw DataError("trial {} is worker {}'s, not worker {}'s", number, owner, worker);
  return trials_[static_cast<size_t>(number)];
}

void History::check_point(const Point& point) const {
  if (point.empty() || (point_size_ > 0 && point.size() != point_size_)) {
    throw DataError("its point has {} values, not {}", point.size(), std::max<size_t>(point_size_, 1));
  }
}

void History::lose_ranks(Trial& trial, Inner& inner, bool counts) {
  switch (inner.pending) {
    case Pending::stop:
      trial.state = TrialState::stopped;
      trial.reason = inner.reason;
      break;
    case Pending::pause:
      trial.state = TrialState::paused;
      trial.reason = inner.reason;
      break;
    case Pending::none:
      trial.state = TrialState::waiting;
      if (!counts) --trial.attempts;
      break;
  }
  inner.pending = Pending::none;
  note_end(trial);
}

void History::note_end(Trial& trial) const {
  bool ended = trial.is_over() || trial.state == TrialState::paused;
  if (ended && trial.ended_at < 0) trial.ended_at = records_;
}

bool dominates(const std::vector<double>& a, const std::vector<double>& b) {
  bool better = false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] > b[i]) return false;
    better |= a[i] < b[i];
  }
  return better;
}

std::vector<int64_t> pareto_front(const std::vector<Trial>& trials) {
  return pareto_front(trials, [](const Trial& trial) {
    return trial.state == TrialState::finished || trial.state == TrialState::stopped;
  });
}

std::vector<int64_t> pareto_front(const std::vector<Trial>& trials,
                                  const std::function<bool(const Trial&)>& counts) {
  std::vector<const Trial*> rising;
  for (const Trial& trial : trials) {
    if (counts(trial) && !trial.scores.empty()) rising.push_back(&trial);
  }
  std::stable_sort(rising.begin(), rising.end(),
                   [](const Trial* a, const Trial* b) { return a->scores < b->scores; });
  // In the order of words nobody is dominated by one who comes later, or by one who is dominated himself
  // alone.
  std::vector<const Trial*> front;
  for (const Trial* trial : rising) {
    if (trial->scores.size() == 1 && !front.empty()) break;
    bool dominated = std::any_of(front.begin(), front.end(), [trial](const Trial* other) {
      return dominates(other->scores, trial->scores);
    });
    if (!dominated) front.push_back(trial);
  }
  std::vector<int64_t> numbers;
  for (const Trial* trial : front) numbers.push_back(trial->number);
  return numbers;
}

}  // namespace trireme
