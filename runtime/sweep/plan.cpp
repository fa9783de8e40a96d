#include "sweep/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "sweep/history.h"
#include "sweep/sampler.h"
#include "sweep/scheduler.h"
#include "sweep/space.h"
#include "sweep/sweep.h"

namespace trireme {
namespace {

constexpr int64_t shown_suggestions = 5;

std::string range_text(const Parameter& parameter) {
  std::string text;
  if (parameter.kind == ParameterKind::choice) {
    for (const std::string& choice : parameter.choices) text += (text.empty() ? "" : ", ") + choice;
    text = "one of " + text;
  } else {
    text = fmt::format("{} to {}{}", parameter.low, parameter.high,
                       parameter.kind == ParameterKind::integer ? ", whole" : "");
    if (parameter.step > 0) text += fmt::format(", in steps of {}", parameter.step);
    if (parameter.logarithmic) text += ", on a logarithmic scale";
  }
  if (parameter.when) text += fmt::format("  (when {})", parameter.when->text());
  return text;
}

std::string budget_text(const BudgetConfig& budget) {
  std::string text;
  auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (budget.trials > 0) add(fmt::format("{} trials", budget.trials));
  if (budget.epochs > 0) add(fmt::format("{} epochs over all trials", budget.epochs));
  if (budget.seconds > 0) add(fmt::format("{} s over all starts", budget.seconds));
  return text;
}

std::string objectives_text(const SweepConfig& config) {
  std::string text;
  for (const ObjectiveConfig& objective : config.objectives) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", objective.maximized ? "maximize" : "minimize",
                        objective.metric);
  }
  return text + (config.objectives.size() > 1 ? " (the Pareto front)" : "");
}

// "1" or "1 to 4".
std::string side_by_side(const SweepConfig& config, const Space& space, int ranks) {
  int narrowest = static_cast<int>(config.sweep.ranks_per_trial);
  int widest = narrowest;
  if (std::optional<size_t> searched = space.find("sweep.ranks_per_trial")) {
    const Parameter& parameter = space[*searched];
    narrowest = widest = width_of(config, space, space.from_unit(std::vector<double>(space.size(), 0.0)));
    for (int64_t k = 0; k < std::max<int64_t>(parameter.count(), 1); ++k) {
      Point point(space.size(), std::nan(""));
      point[*searched] = parameter.value_at(k);
      int width = width_of(config, space, point);
      narrowest = std::min(narrowest, width);
      widest = std::max(widest, width);
    }
  }
  int most = ranks / narrowest;
  int least = ranks / widest;
  return most == least ? fmt::format("{}", most) : fmt::format("{} to {}", least, most);
}

}  // namespace

std::string plan_text(const SweepConfig& config, const Config& base, int ranks) {
  Space space = make_space(config, base);
  require_widths(config, space, ranks);
  std::unique_ptr<Sampler> sampler = make_sampler(config, space);
  std::unique_ptr<Scheduler> scheduler = make_scheduler(config, space, base.train.epochs);
  std::string text =
      fmt::format("objective   {}\nbudget      {}\n", objectives_text(config), budget_text(config.budget));
  text += fmt::format("sampler     {}, seed {}\nscheduler   {}, trials of at most {} epochs\n",
                      config.sweep.sampler, config.sweep.seed, config.sweep.scheduler, base.train.epochs);
  // scripts/sweep.sbatch goes by the last words: such a sweep is started once.
  text += fmt::format("ranks       {}: {} trials side by side{}\n", ranks, side_by_side(config, space, ranks),
                      config.sweep.launcher == "steps" ? ", each a step of its own" : "");
  text += fmt::format("space       {} parameters\n", space.size());
  size_t longest = 0;
  for (const Parameter& parameter : space.parameters()) longest = std::max(longest, parameter.key.size());
  for (const Parameter& parameter : space.parameters()) {
    text += fmt::format("  {:<{}}  {}\n", parameter.key, longest, range_text(parameter));
  }
  for (const std::string& constraint : config.sweep.constraints)
    text += fmt::format("  where {}\n", constraint);
  text += "first suggestions, while nothing is known\n";
  History nothing;
  int64_t shown =
      config.budget.trials > 0 ? std::min(config.budget.trials, shown_suggestions) : shown_suggestions;
  for (int64_t number = 0; number < shown; ++number) {
    std::optional<Suggestion> suggestion = sampler->suggest(nothing, number);
    if (!suggestion) break;
    text += fmt::format("  {:04} ", number);
    for (const std::string& assignment : space.assignments(suggestion->point)) text += " " + assignment;
    try {
      make_trial_config(config, space.assignments(suggestion->point));
    } catch (const ConfigError& error) {
      text += fmt::format("\n        fails: {}", error.what());
    }
    text += '\n';
  }
  return text;
}

}  // namespace trireme
