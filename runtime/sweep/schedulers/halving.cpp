#include "sweep/schedulers/halving.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace trireme {
namespace {

// By what the trial is judged at a rung: its first report there, or the best up to it. A trial that validates
// only now and then comes to a rung at the next validation.
double score_at(const Trial& trial, int64_t epochs, bool at_best) {
  double best = trial.reports.front().scores[0];
  for (const TrialReport& report : trial.reports) {
    best = at_best ? std::min(best, report.scores[0]) : report.scores[0];
    if (report.epoch >= epochs) break;
  }
  return best;
}

}  // namespace

std::vector<int64_t> rungs_of(const SweepConfig& config, const HalvingConfig& halving, std::string_view table,
                              int64_t max_epochs) {
  if (halving.min_epochs >= max_epochs) {
    throw ConfigError(
        "{}: sweep.{}.min_epochs = {} is not less than train.epochs = {}: no trial could end earlier; choose "
        "less, or more epochs",
        config.where(fmt::format("sweep.{}.min_epochs", table)), table, halving.min_epochs, max_epochs);
  }
  std::vector<int64_t> rungs{halving.min_epochs};
  while (true) {
    // rung * reduction * sqrt(reduction) <= max_epochs, squared, in doubles: epochs may be many.
    auto next = static_cast<double>(rungs.back()) * static_cast<double>(halving.reduction);
    auto end = static_cast<double>(max_epochs);
    if (next * next * static_cast<double>(halving.reduction) > end * end) break;
    rungs.push_back(rungs.back() * halving.reduction);
  }
  rungs.push_back(max_epochs);
  return rungs;
}

Halving::Halving(std::vector<int64_t> rungs, int64_t brackets, int64_t reduction, bool at_best)
    : rungs_(std::move(rungs)), brackets_(brackets), reduction_(reduction), at_best_(at_best) {}

int64_t Halving::rung_reached(int64_t bracket, int64_t epochs) const {
  auto reached = std::ranges::upper_bound(rungs_, epochs) - rungs_.begin() - 1;
  return reached < bracket ? -1 : reached;
}

std::vector<int64_t> Halving::ranking(const History& history, int64_t bracket, size_t rung) const {
  std::vector<std::pair<double, int64_t>> standings;
  for (const Trial& trial : history.trials()) {
    if (trial.state == TrialState::failed || trial.epochs() < rungs_[rung]) continue;
    if (bracket_of(trial.number) != bracket) continue;
    standings.emplace_back(score_at(trial, rungs_[rung], at_best_), trial.number);
  }
  std::ranges::sort(standings);
  std::vector<int64_t> numbers;
  for (const auto& [score, number] : standings) numbers.push_back(number);
  return numbers;
}

Verdict Halving::judge(const History& history, int64_t number) {
  const Trial& trial = history.trial(number);
  int64_t bracket = bracket_of(number);
  int64_t rung = rung_reached(bracket, trial.epochs());
  int64_t epochs_before = trial.reports.size() > 1 ? trial.reports[trial.reports.size() - 2].epoch : 0;
  auto top = static_cast<int64_t>(rungs_.size()) - 1;
  if (rung < 0 || rung == top || rung == rung_reached(bracket, epochs_before)) return {};
  std::vector<int64_t> order = ranking(history, bracket, static_cast<size_t>(rung));
  auto place = std::ranges::find(order, number) - order.begin();
  auto count = static_cast<int64_t>(order.size());
  if (place < count / reduction_) return {};
  return {Verdict::Kind::pause,
          fmt::format("rung {} ({} epochs): place {} of {}, {} may go on", rung - bracket,
                      rungs_[static_cast<size_t>(rung)], place + 1, count, count / reduction_)};
}

std::optional<TakeUp> Halving::take_up(const History& history, const Openings& openings) {
  // Paused trials by the rung where they are. One that is below the first rung or on top of all (the settings
  // changed between two starts) goes on at once.
  std::vector<std::vector<bool>> waits(rungs_.size(), std::vector<bool>(static_cast<size_t>(brackets_)));
  bool anybody = false;
  auto top = static_cast<int64_t>(rungs_.size()) - 1;
  for (const Trial& trial : history.trials()) {
    if (trial.state != TrialState::paused || !openings.fits(trial)) continue;
    int64_t bracket = bracket_of(trial.number);
    int64_t rung = rung_reached(bracket, trial.epochs());
    if (rung < 0 || rung == top) return TakeUp{trial.number};
    waits[static_cast<size_t>(rung)][static_cast<size_t>(bracket)] = true;
    anybody = true;
  }
  if (!anybody) return std::nullopt;
  for (size_t rung = rungs_.size() - 1; rung-- > 0;) {
    for (int64_t bracket = 0; bracket < brackets_; ++bracket) {
      if (!waits[rung][static_cast<size_t>(bracket)]) continue;
      std::vector<int64_t> order = ranking(history, bracket, rung);
      order.resize(order.size() / static_cast<size_t>(reduction_));
      for (int64_t number : order) {
        const Trial& trial = history.trial(number);
        bool here = rung_reached(bracket, trial.epochs()) == static_cast<int64_t>(rung);
        if (here && trial.state == TrialState::paused && openings.fits(trial)) return TakeUp{number};
      }
    }
  }
  return std::nullopt;
}

}  // namespace trireme
