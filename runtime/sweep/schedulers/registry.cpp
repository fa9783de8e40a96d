#include <algorithm>
#include <array>
#include <string>

#include "base/error.h"
#include "sweep/schedulers/schedulers.h"

namespace trireme {
namespace {

struct Row {
  std::string_view name;
  std::unique_ptr<Scheduler> (*make)(const SweepConfig&, const Space&, int64_t);
  bool compares;  // trials, by one score
};

constexpr std::array rows{
    Row{"none", make_no_scheduler, false},  Row{"median", make_median, true}, Row{"asha", make_asha, true},
    Row{"hyperband", make_hyperband, true}, Row{"pbt", make_pbt, true},       Row{"ltfb", make_ltfb, true},
};

}  // namespace

std::unique_ptr<Scheduler> make_scheduler(const SweepConfig& config, const Space& space, int64_t max_epochs) {
  for (const Row& row : rows) {
    if (row.name != config.sweep.scheduler) continue;
    if (row.compares && config.objectives.size() > 1) {
      throw ConfigError(
          "{}: sweep.scheduler = \"{}\" compares trials by one score, and there are {} objectives; take "
          "\"none\", or one objective",
          config.where("sweep.scheduler"), row.name, config.objectives.size());
    }
    return row.make(config, space, max_epochs);
  }
  throw ConfigError("{}: sweep.scheduler = \"{}\": there is no such scheduler",
                    config.where("sweep.scheduler"), config.sweep.scheduler);
}

std::vector<std::string_view> scheduler_names() {
  std::vector<std::string_view> names;
  for (const Row& row : rows) names.push_back(row.name);
  return names;
}

void refuse_searched_epochs(const SweepConfig& config, const Space& space) {
  auto found = space.find("train.epochs");
  if (!found) return;
  throw ConfigError(
      "{}: [space] train.epochs: sweep.scheduler = \"{}\" itself says how many epochs a trial gets, up to "
      "the "
      "base config's; set it in [sweep.set], or take the scheduler \"none\" or \"median\"",
      space[*found].origin, config.sweep.scheduler);
}

std::optional<TakeUp> take_up_any(const History& history, const Openings& openings) {
  for (const Trial& trial : history.trials()) {
    if (trial.state == TrialState::paused && openings.fits(trial)) return TakeUp{trial.number};
  }
  return std::nullopt;
}

}  // namespace trireme
