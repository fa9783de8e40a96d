// The median stopping rule of Vizier (Golovin et al., "Google Vizier: a service for black-box optimization",
// KDD 2017, section 3.2.1): a trial at epoch e is stopped where the best that it has reported is strictly
// worse than the median, over the trials that are over and came as far, of the means of what these had
// reported up to e.
#include <fmt/format.h>

#include <algorithm>

#include "sweep/schedulers/schedulers.h"

namespace trireme {
namespace {

double best_up_to(const Trial& trial, int64_t epoch) {
  double best = trial.reports.front().scores[0];
  for (const TrialReport& report : trial.reports) {
    if (report.epoch <= epoch) best = std::min(best, report.scores[0]);
  }
  return best;
}

double mean_up_to(const Trial& trial, int64_t epoch) {
  double sum = 0;
  int64_t count = 0;
  for (const TrialReport& report : trial.reports) {
    if (report.epoch > epoch) break;
    sum += report.scores[0];
    ++count;
  }
  return sum / static_cast<double>(count);
}

// Of an even number the mean of the two in the middle.
double median_of(std::vector<double> values) {
  std::ranges::sort(values);
  size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

class Median final : public Scheduler {
 public:
  // `maximized`: scores are the negatives of what was measured, which reasons tell.
  Median(const MedianConfig& config, int64_t max_epochs, bool maximized)
      : config_(config), max_epochs_(max_epochs), maximized_(maximized) {}

  Verdict judge(const History& history, int64_t number) override {
    const Trial& trial = history.trial(number);
    int64_t epoch = trial.epochs();
    if (epoch <= config_.warmup_epochs || epoch >= max_epochs_) return {};
    std::vector<double> means;
    for (const Trial& other : history.trials()) {
      if (other.number == number || !other.is_over() || other.state == TrialState::failed) continue;
      // Of one that validated more seldom, or ended before, nothing can be said at this epoch.
      if (other.epochs() < epoch || other.reports.front().epoch > epoch) continue;
      means.push_back(mean_up_to(other, epoch));
    }
    auto count = static_cast<int64_t>(means.size());
    if (count == 0 || count < config_.startup_trials) return {};
    double median = median_of(std::move(means));
    double best = best_up_to(trial, epoch);
    if (best <= median) return {};
    return {Verdict::Kind::stop,
            fmt::format("epoch {}: the best score, {:.6g}, is worse than the median of {} trials, {:.6g}",
                        epoch, measured(best), count, measured(median))};
  }
  std::optional<TakeUp> take_up(const History& history, const Openings& openings) override {
    return take_up_any(history, openings);
  }

 private:
  double measured(double score) const { return maximized_ ? 0 - score : score; }

  MedianConfig config_;
  int64_t max_epochs_;
  bool maximized_;
};

}  // namespace

std::unique_ptr<Scheduler> make_median(const SweepConfig& config, const Space&, int64_t max_epochs) {
  bool maximized = !config.objectives.empty() && config.objectives[0].maximized;
  return std::make_unique<Median>(config.median, max_epochs, maximized);
}

}  // namespace trireme
