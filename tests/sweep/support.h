// A sweep's history told by simple calls, and sweeps of known functions without any training.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "sweep/functions.h"
#include "sweep/history.h"
#include "sweep/sampler.h"
#include "sweep/space.h"

namespace trireme {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Makes records as a controller would, and applies them. Times are counted in records: deterministic.
class SweepStory {
 public:
  explicit SweepStory(const Space& space, bool at_best = false) : space_(&space), history_(at_best) {
    add(StartRecord{.sweep = "toy", .ranks = 1, .version = "test"});
  }

  // Each returns the trial's number, or nothing.
  int64_t suggest(const Point& point, int64_t parent = -1, int width = 1) {
    SuggestRecord record{.trial = static_cast<int64_t>(history_.trials().size()),
                         .values = literals(point),
                         .point = point,
                         .width = width,
                         .based_on = history_.records(),
                         .parent = parent};
    add(record);
    return record.trial;
  }
  void begin(int64_t trial, bool resumed = false) {
    int attempt = history_.trial(trial).attempts + (resumed ? 0 : 1);
    add(BeginRecord{.trial = trial,
                    .attempt = attempt,
                    .resumed = resumed,
                    .ranks = {0},
                    .source = -1,
                    .values = {},
                    .point = {}});
  }
  // A paused trial goes on with another's state and with values of its own.
  void take_over(int64_t trial, int64_t source, const Point& point) {
    add(BeginRecord{.trial = trial,
                    .attempt = history_.trial(trial).attempts,
                    .resumed = true,
                    .ranks = {0},
                    .source = source,
                    .values = literals(point),
                    .point = point});
  }
  void report(int64_t trial, int64_t epoch, std::vector<double> scores) {
    ReportRecord record;
    record.trial = trial;
    record.epoch = epoch;
    record.step = 10 * epoch;
    record.seconds = 0.5 * static_cast<double>(epoch);
    for (size_t i = 0; i < scores.size(); ++i) {
      record.figures.emplace_back("figure" + std::to_string(i), scores[i]);
    }
    record.scores = std::move(scores);
    add(std::move(record));
  }
  void decide(int64_t trial, const std::string& verdict, const std::string& reason = "") {
    add(DecisionRecord{trial, history_.trial(trial).epochs(), verdict, reason});
  }
  // state: finished stopped failed paused interrupted
  void end(int64_t trial, const std::string& state, const std::string& reason = "") {
    add(EndRecord{.trial = trial, .state = state, .reason = reason, .seconds = 1, .steps = 10});
  }
  void restart() { add(StartRecord{.sweep = "toy", .ranks = 1, .version = "test"}); }

  // A trial that runs; one that has been trained to its end, with one report; one that has failed without
  // any.
  int64_t run(const Point& point, int64_t parent = -1) {
    int64_t trial = suggest(point, parent);
    begin(trial);
    return trial;
  }
  void finish(int64_t trial, std::vector<double> scores) {
    report(trial, 1, std::move(scores));
    end(trial, "finished");
  }
  int64_t finished(const Point& point, std::vector<double> scores, int64_t parent = -1) {
    int64_t trial = run(point, parent);
    finish(trial, std::move(scores));
    return trial;
  }
  int64_t failed(const Point& point) {
    int64_t trial = run(point);
    end(trial, "failed", "it is a bad one");
    return trial;
  }
  // One that failed after it had reported.
  int64_t failed_late(const Point& point, std::vector<double> scores) {
    int64_t trial = run(point);
    report(trial, 1, std::move(scores));
    end(trial, "failed", "it is a bad one");
    return trial;
  }

  const Space& space() const { return *space_; }
  const History& history() const { return history_; }
  const std::vector<Record>& records() const { return records_; }
  // The history as it was after the first `count` records.
  History beginning(size_t count, bool at_best = false) const {
    History history(at_best);
    for (size_t i = 0; i < count; ++i) history.apply(records_.at(i));
    return history;
  }

 private:
  template <class What>
  void add(What what) {
    Record record{.number = history_.records(),
                  .time = 1.7e9 + static_cast<double>(history_.records()),
                  .what = std::move(what)};
    history_.apply(record);
    records_.push_back(std::move(record));
  }
  std::vector<std::pair<std::string, std::string>> literals(const Point& point) const {
    std::vector<std::pair<std::string, std::string>> values;
    for (size_t i = 0; i < space_->size(); ++i) {
      if (!std::isnan(point.at(i))) values.emplace_back((*space_)[i].key, space_->literal(i, point[i]));
    }
    return values;
  }

  const Space* space_;
  History history_;
  std::vector<Record> records_;
};

// A sweep of a function: `parallel` trials are pending at a time, and which of them ends next is drawn from
// `seed`. Fewer trials than asked for when the sampler has no further point. Each point must be settled and
// allowed: throws Error when one is not.
template <class Function>
SweepStory sweep_function(Sampler& sampler, const Space& space, Function&& value, int64_t trials,
                          int64_t parallel = 1, uint64_t seed = 1) {
  SweepStory story(space);
  RandomStream random(seed, Purpose::test, 77);
  std::vector<int64_t> pending;
  bool more = true;
  for (int64_t next = 0;;) {
    while (more && next < trials && static_cast<int64_t>(pending.size()) < parallel) {
      std::optional<Suggestion> suggestion = sampler.suggest(story.history(), next);
      more = suggestion.has_value();
      if (!more) break;
      Point settled = suggestion->point;
      space.settle(settled);
      if (!same_point(settled, suggestion->point)) {
        throw Error(ExitCode::internal, "a point that is not settled");
      }
      if (!space.allows(settled)) throw Error(ExitCode::internal, "a point that is not allowed");
      pending.push_back(story.run(suggestion->point, suggestion->parent));
      ++next;
    }
    if (pending.empty()) return story;
    size_t which = random.below(static_cast<uint32_t>(pending.size()));
    int64_t trial = pending[which];
    pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(which));
    story.finish(trial, {value(story.history().trial(trial).point)});
  }
}

// The lowest score so far, of the first objective.
inline double best_score(const History& history) {
  double best = std::numeric_limits<double>::infinity();
  for (const Trial& trial : history.trials()) {
    if (!trial.scores.empty()) best = std::min(best, trial.scores[0]);
  }
  return best;
}

}  // namespace trireme
