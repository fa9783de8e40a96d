#include "sweep/results/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "sweep/results/words.h"

namespace trireme {
namespace {

// Successive halving: most trials are paused at a low rung until the sweep ends.
bool leaves_most_paused(const SweepView& view) {
  return view.config.sweep.scheduler == "asha" || view.config.sweep.scheduler == "hyperband";
}

// Of a trial's work, how much is done.
double part_of(const Trial& trial, int64_t max_epochs, bool paused_is_done) {
  if (trial.is_over() || (paused_is_done && trial.state == TrialState::paused)) return 1;
  if (max_epochs <= 0) return 0;
  return std::min(0.95, static_cast<double>(trial.epochs()) / static_cast<double>(max_epochs));
}

}  // namespace

std::string_view name_of(SweepState state) {
  switch (state) {
    case SweepState::not_begun:
      return "not begun";
    case SweepState::running:
      return "running";
    case SweepState::finished:
      return "finished";
    case SweepState::stopped:
      return "stopped";
  }
  throw Error(ExitCode::internal, "a sweep's state without a name");
}

SweepState state_of(const SweepView& view) {
  if (view.events.empty()) return SweepState::not_begun;
  if (view.is_open()) return SweepState::running;
  for (auto event = view.events.rbegin(); event != view.events.rend(); ++event) {
    if (std::holds_alternative<StartRecord>(event->record.what)) break;
    auto* close = std::get_if<CloseRecord>(&event->record.what);
    if (close != nullptr && close->state == "finished") return SweepState::finished;
  }
  return SweepState::stopped;
}

std::vector<int64_t> front_so_far(const SweepView& view) {
  return pareto_front(view.history.trials(),
                      [](const Trial& trial) { return trial.state != TrialState::failed; });
}

SweepProgress progress_of(const SweepView& view, const Timeline& timeline) {
  SweepProgress progress;
  double trials_done = 0;
  for (const Trial& trial : view.history.trials()) {
    if (trial.point.empty()) continue;
    ++progress.trials;
    ++progress.by_state[static_cast<size_t>(trial.state)];
    trials_done += part_of(trial, view.max_epochs, leaves_most_paused(view));
  }
  auto spend = [&progress, &timeline](double done, double limit, const std::string& words) {
    double fraction = std::clamp(done / limit, 0.0, 1.0);
    progress.fraction = std::max(progress.fraction, fraction);
    progress.spent += (progress.spent.empty() ? "" : ", ") + words;
    if (fraction <= 0 || timeline.seconds <= 0) return;
    double left = timeline.seconds * (1 - fraction) / fraction;
    progress.seconds_left = std::min(progress.seconds_left.value_or(left), left);
  };
  const BudgetConfig& budget = view.config.budget;
  if (budget.trials > 0) {
    int64_t over = progress.count(TrialState::finished) + progress.count(TrialState::stopped) +
                   progress.count(TrialState::failed);
    std::string words = progress.count(TrialState::paused) > 0 && leaves_most_paused(view)
                            ? fmt::format("{}/{} trials begun", progress.trials, budget.trials)
                            : fmt::format("{}/{} trials", over, budget.trials);
    spend(trials_done, static_cast<double>(budget.trials), words);
  }
  if (budget.epochs > 0) {
    spend(static_cast<double>(view.history.epochs()), static_cast<double>(budget.epochs),
          fmt::format("{}/{} epochs", view.history.epochs(), budget.epochs));
  }
  if (budget.seconds > 0) {
    spend(timeline.seconds, budget.seconds,
          fmt::format("{} of {}", clock_text(timeline.seconds), clock_text(budget.seconds)));
  }
  return progress;
}

std::string states_text(const SweepProgress& progress) {
  std::string text;
  for (TrialState state : {TrialState::finished, TrialState::stopped, TrialState::failed, TrialState::running,
                           TrialState::paused, TrialState::waiting}) {
    if (progress.count(state) == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name_of(state), progress.count(state));
  }
  return text;
}

}  // namespace trireme
