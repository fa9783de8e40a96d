// A sweep in simulated time: workers that train what a test says, a scheduler that decides, the records of it
// all. It asks as the controller does (sweep/scheduler.h), in an order that depends on the seed alone.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sweep/scheduler.h"
#include "sweep/support.h"

namespace trireme {

struct Simulated {
  int workers = 8;  // ranks, of which a trial holds as many as it is wide
  int64_t trials = 100;
  int64_t max_epochs = 9;
  uint64_t seed = 1;
  // A point for a new trial; nothing when there are no more.
  std::function<std::optional<Point>(int64_t trial)> suggest = {};
  // The score after one more epoch; nan: the trial fails.
  std::function<double(const Trial& trial, int64_t epoch)> train = {};
  std::function<void(int64_t trial, int64_t source)> copy_state = [](int64_t, int64_t) {};
  std::function<int(int64_t trial)> width = [](int64_t) { return 1; };
  int64_t crash_after = INT64_MAX;  // things that happen; again after as many more
};

// One thing that happens at a time. Whatever a scheduler does that a controller could not follow throws
// Error.
class Simulation {
 public:
  Simulation(const Simulated& what, const Space& space, Scheduler& scheduler)
      : what_(what), scheduler_(scheduler), story_(space), random_(what.seed, Purpose::test, 4711) {}

  // Until nothing runs, nothing is taken up and nothing new begins; then what is paused is stopped.
  void run() {
    for (free_ = what_.workers;;) {
      fill();
      if (running_.empty()) break;
      auto soonest = std::ranges::min_element(
          running_, {}, [](const auto& entry) { return std::pair(entry.second.at, entry.first); });
      clock_ = soonest->second.at;
      if (++happened_ % what_.crash_after == 0) {
        crash();
        continue;
      }
      advance(soonest->first, soonest->second);
    }
    for (const Trial& trial : story_.history().trials()) {
      if (trial.state == TrialState::paused) left_paused_.insert(trial.number);
    }
    for (int64_t trial : left_paused_) story_.end(trial, "stopped", "not promoted");
  }

  const SweepStory& story() const { return story_; }
  const std::set<int64_t>& left_paused() const { return left_paused_; }
  double clock() const { return clock_; }
  double busy() const { return busy_; }  // ranks * time
  // Whether Openings::more_new was true when the record of this number was made.
  bool had_more(int64_t record) const { return record < first_without_more_; }

 private:
  struct Running {
    double at;      // when the next thing happens
    bool pausing;   // told to pause: the next thing is that it has
    bool stopping;  // told to stop
  };

  double some_time(double scale) { return scale * (0.5 + random_.uniform()); }

  void fill() {
    while (true) {
      const History& history = story_.history();
      bool more = static_cast<int64_t>(history.trials().size()) < what_.trials && !dry_;
      if (!more && first_without_more_ == INT64_MAX) first_without_more_ = history.records();
      Openings openings{[this](const Trial& trial) { return trial.width <= free_; }, more};
      if (auto next = scheduler_.take_up(history, openings)) {
        check(*next);
        if (next->source >= 0) {
          what_.copy_state(next->trial, next->source);
          story_.take_over(next->trial, next->source, next->point);
        } else {
          story_.begin(next->trial, true);
        }
        start(next->trial);
        continue;
      }
      if (begin_waiting()) continue;
      if (!more || !scheduler_.wants_new(history)) return;
      auto number = static_cast<int64_t>(history.trials().size());
      if (what_.width(number) > free_) return;
      std::optional<Point> point = what_.suggest(number);
      dry_ = !point.has_value();
      if (dry_) continue;
      story_.suggest(*point, -1, what_.width(number));
      story_.begin(number);
      start(number);
    }
  }

  void check(const TakeUp& next) const {
    const Trial& trial = story_.history().trial(next.trial);
    if (trial.state != TrialState::paused) throw Error(ExitCode::internal, "taken up, but not paused");
    if (trial.width > free_) throw Error(ExitCode::internal, "taken up, but there is no room");
    if (next.source < 0) return;
    const Trial& source = story_.history().trial(next.source);
    bool good = source.state == TrialState::paused || source.state == TrialState::finished ||
                source.state == TrialState::running;
    if (!good || source.reports.empty()) throw Error(ExitCode::internal, "a source without a state");
    Point settled = next.point;
    story_.space().settle(settled);
    if (!same_point(settled, next.point)) throw Error(ExitCode::internal, "a point that is not settled");
    if (!story_.space().allows(settled)) throw Error(ExitCode::internal, "a point that is not allowed");
  }

  // One that was lost by a crash.
  bool begin_waiting() {
    for (const Trial& trial : story_.history().trials()) {
      if (trial.state != TrialState::waiting || trial.width > free_) continue;
      story_.begin(trial.number);
      start(trial.number);
      return true;
    }
    return false;
  }

  // All that runs is lost, up to two epochs of what each had trained too.
  void crash() {
    story_.restart();
    for (const auto& entry : running_) {
      const Trial& trial = story_.history().trial(entry.first);
      free_ += trial.width;
      busy_ += trial.width * (clock_ - began_[entry.first]);
      if (trial.state == TrialState::waiting) {
        trained_[entry.first] = std::max<int64_t>(0, trained_[entry.first] - random_.below(3));
      }
    }
    running_.clear();
  }

  void start(int64_t trial) {
    free_ -= story_.history().trial(trial).width;
    began_[trial] = clock_;
    running_[trial] = {clock_ + some_time(1), false, false};
  }

  void leave(int64_t number, const std::string& state) {
    int width = story_.history().trial(number).width;
    free_ += width;
    busy_ += width * (clock_ - began_[number]);
    running_.erase(number);
    story_.end(number, state, state == "failed" ? "nan" : "");
  }

  void advance(int64_t number, Running& state) {
    if (state.pausing) return leave(number, "paused");
    if (state.stopping) return leave(number, "stopped");
    const Trial& trial = story_.history().trial(number);
    int64_t epoch = ++trained_[number];
    double score = what_.train(trial, epoch);
    if (std::isnan(score)) return leave(number, "failed");
    story_.report(number, epoch, {score});
    Verdict verdict = scheduler_.judge(story_.history(), number);
    if (verdict.kind != Verdict::Kind::go_on) {
      state.pausing = verdict.kind == Verdict::Kind::pause;
      state.stopping = !state.pausing;
      story_.decide(number, state.pausing ? "pause" : "stop", verdict.reason);
      state.at = clock_ + some_time(0.1);
      return;
    }
    if (epoch == what_.max_epochs) return leave(number, "finished");
    state.at = clock_ + some_time(1);
  }

  Simulated what_;
  Scheduler& scheduler_;
  SweepStory story_;
  RandomStream random_;
  std::map<int64_t, Running> running_;
  std::map<int64_t, double> began_;
  std::map<int64_t, int64_t> trained_;  // epochs that a trial's state has seen
  std::set<int64_t> left_paused_;
  int free_ = 0;
  int64_t happened_ = 0;
  bool dry_ = false;
  double clock_ = 0;
  double busy_ = 0;
  int64_t first_without_more_ = INT64_MAX;
};

// A whole sweep, and what has become of it.
inline History simulate(const Simulated& what, const Space& space, Scheduler& scheduler) {
  Simulation simulation(what, space, scheduler);
  simulation.run();
  return simulation.story().history();
}

// The best score among trials that have been trained to their end.
inline double best_finished(const History& history) {
  double best = std::numeric_limits<double>::infinity();
  for (const Trial& trial : history.trials()) {
    if (trial.state == TrialState::finished) best = std::min(best, trial.reports.back().scores[0]);
  }
  return best;
}

// Settings of a sweep of these keys with this scheduler.
inline SweepConfig scheduled(const std::string& scheduler) {
  SweepConfig config;
  config.sweep.scheduler = scheduler;
  config.objectives.resize(1);
  return config;
}

// One rate, that may change while a trial trains.
inline Space rate_space() { return toy_space({real_parameter("optimizer.learning_rate", 1e-4, 1, true)}); }

}  // namespace trireme
