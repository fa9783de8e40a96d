// A whole sweep that never was: several hundred trials with curves on a few ranks, some stopped early, some
// failed, one start killed in the middle. What the results are tried on.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sweep/results.h"
#include "sweep/support.h"

namespace trireme {

struct SampleOptions {
  int64_t trials = 60;
  int ranks = 4;
  bool accuracy_too = false;                                 // a second objective
  bool finished = true;                                      // else it is still running
  bool crash = true;                                         // in the middle
  std::string reason = "step 41: the loss is not a number";  // of failures
};

inline BeginRecord begin_record(int64_t trial, int attempt, std::vector<int> ranks) {
  BeginRecord record;
  record.trial = trial;
  record.attempt = attempt;
  record.ranks = std::move(ranks);
  return record;
}

class SampleSweep {
 public:
  static constexpr double begin = 1.7e9;  // seconds since 1970
  static constexpr int64_t epochs = 9;

  explicit SampleSweep(const SampleOptions& options)
      : options_(options),
        view_{.config = config(options), .space = space(), .history = History(), .max_epochs = epochs},
        random_(5, Purpose::test),
        free_at_(static_cast<size_t>(options.ranks), begin + 0.5) {}

  SweepView make() {
    tell(begin, StartRecord{.sweep = "sample", .ranks = options_.ranks, .version = "test"});
    for (int64_t number = 0; number < options_.trials; ++number) {
      if (options_.crash && number == options_.trials / 2) crash();
      auto rank = static_cast<size_t>(std::min_element(free_at_.begin(), free_at_.end()) - free_at_.begin());
      run(number, rank);
    }
    flush(options_.finished ? 1e300 : *std::min_element(free_at_.begin(), free_at_.end()));
    if (options_.finished) {
      tell(view_.last_sign + 0.1, CloseRecord{.state = "finished", .reason = "60 trials"});
    }
    return std::move(view_);
  }

  static Space space() {
    return toy_space({choice_parameter("optimizer.kind", {"\"sgd\"", "\"adam\"", "\"adamw\""}),
                      real_parameter("optimizer.learning_rate", 1e-5, 1, true),
                      only_when(real_parameter("optimizer.momentum", 0, 0.99), "optimizer.kind == \"sgd\""),
                      integer_parameter("data.batch", 16, 512, true),
                      integer_parameter("model.dense", 8, 256),
                      choice_parameter("data.transform.horizontal_flip", {"false", "true"})});
  }

  static SweepConfig config(const SampleOptions& options) {
    SweepConfig config;
    config.sweep.name = "sample";
    config.sweep.sampler = "random";
    config.sweep.scheduler = options.accuracy_too ? "none" : "asha";  // which judges by one
    config.objectives.resize(options.accuracy_too ? 2 : 1);
    config.objectives[0].metric = "validation.loss";
    if (options.accuracy_too) {
      config.objectives[1].metric = "validation.accuracy";
      config.objectives[1].maximized = true;
    }
    config.budget.trials = options.trials;
    return config;
  }

 private:
  using What = decltype(Record::what);

  void tell(double time, What what) {
    view_.add(
        {.worker = 0, .record = {.number = view_.history.records(), .time = time, .what = std::move(what)}});
  }
  // Records come in the order of their times, whatever rank they are from.
  void later(double time, What what) { waiting_.emplace(time, std::move(what)); }
  void flush(double until) {
    while (!waiting_.empty() && waiting_.begin()->first <= until) {
      auto node = waiting_.extract(waiting_.begin());
      tell(node.key(), std::move(node.mapped()));
    }
  }

  double loss_at_end(const Point& x) const {
    double rate = std::log10(x[1]) + (x[0] == 0 ? 1.0 : 3.0);
    double momentum = std::isnan(x[2]) ? 0 : 0.3 * std::abs(x[2] - 0.9);
    return 0.25 + 0.12 * rate * rate + momentum + 0.05 * std::abs(std::log2(x[3]) - 6) + 6 / (x[4] + 20) -
           (x[5] == 1 ? 0.03 : 0);
  }

  void run(int64_t number, size_t rank) {
    double time = free_at_[rank];
    flush(time);
    Point point = view_.space.draw(random_);
    SuggestRecord suggest{.trial = number, .values = {}, .point = point, .width = 1, .based_on = 0};
    tell(time, std::move(suggest));
    tell(time, begin_record(number, 1, {static_cast<int>(rank)}));
    double each = 0.6 + 20 / point[3];
    double end = loss_at_end(point);
    double start = time;
    if (point[1] > 0.2) {
      time += each * 0.4;
      later(
          time,
          EndRecord{.trial = number, .state = "failed", .reason = options_.reason, .seconds = time - start});
    } else {
      int64_t last = end > 1.2 ? 1 : end > 0.75 ? 3 : epochs;
      for (int64_t epoch = 1; epoch <= last; ++epoch) {
        time += each * (0.95 + 0.1 * random_.uniform());
        double loss = end + 1.8 * std::exp(-0.6 * static_cast<double>(epoch)) + 0.02 * random_.uniform();
        double accuracy = 1 / (1 + std::exp(loss - 2.5)) + 0.03 * random_.uniform();
        ReportRecord report;
        report.trial = number;
        report.epoch = epoch;
        report.step = 938 * epoch;
        report.seconds = time - start;
        report.figures = {{"validation.loss", loss}, {"validation.accuracy", accuracy}};
        report.scores = {loss};
        if (options_.accuracy_too) report.scores.push_back(-accuracy);
        later(time, std::move(report));
      }
      bool stopped = last < epochs;
      std::string reason = stopped ? "rung 1 (" + std::to_string(last) + " epochs): 7th of 9" : "";
      if (stopped) later(time + 1e-6, DecisionRecord{number, last, "stop", reason});
      later(time + 2e-6, EndRecord{.trial = number,
                                   .state = stopped ? "stopped" : "finished",
                                   .reason = reason,
                                   .seconds = time - start,
                                   .steps = 938 * last});
    }
    free_at_[rank] = time + 0.004;
  }

  // All that was going on is lost, and begun again by the next start.
  void crash() {
    double time = *std::min_element(free_at_.begin(), free_at_.end());
    flush(time);
    waiting_.clear();
    tell(time + 500, StartRecord{.sweep = "sample", .ranks = options_.ranks, .version = "test"});
    time += 500.5;
    std::fill(free_at_.begin(), free_at_.end(), time);
    size_t rank = 0;
    for (const Trial& trial : std::vector<Trial>(view_.history.trials())) {
      if (trial.state != TrialState::waiting) continue;
      tell(time, begin_record(trial.number, 2, {static_cast<int>(rank)}));
      later(time + 3 + 0.1 * static_cast<double>(rank),
            EndRecord{.trial = trial.number, .state = "failed", .reason = "crashed twice", .seconds = 3});
      free_at_[rank++] = time + 3.2;
    }
  }

  SampleOptions options_;
  SweepView view_;
  RandomStream random_;
  std::vector<double> free_at_;
  std::multimap<double, What> waiting_;
};

inline SweepView sample_sweep(const SampleOptions& options = {}) { return SampleSweep(options).make(); }

}  // namespace trireme
