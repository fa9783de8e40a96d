#include "sweep/schedulers/population.h"

#include <fmt/format.h>

#include "sweep/schedulers/changeable.h"
#include "sweep/schedulers/schedulers.h"

namespace trireme {
namespace {

// The fourth word of the draws' counter: samplers' draws have others.
constexpr uint32_t population_draws = 0x706f7075;

}  // namespace

Population::Population(const SweepConfig& config, const PopulationConfig& settings, const Space& space,
                       int64_t max_epochs)
    : settings_(settings),
      space_(space),
      max_epochs_(max_epochs),
      seed_(static_cast<uint64_t>(config.sweep.seed)) {
  refuse_searched_epochs(config, space);
  refuse_fixed_keys(config, space);
}

Verdict Population::judge(const History& history, int64_t number) {
  const Trial& trial = history.trial(number);
  if (!is_member(number) || trial.epochs() >= max_epochs_) return {};
  int64_t epochs_before = trial.reports.size() > 1 ? trial.reports[trial.reports.size() - 2].epoch : 0;
  if (intervals(trial) == epochs_before / settings_.interval_epochs) return {};
  return {Verdict::Kind::pause, fmt::format("interval {} ({} epochs)", intervals(trial), trial.epochs())};
}

std::optional<TakeUp> Population::take_up(const History& history, const Openings& openings) {
  // Those who have not begun are the least advanced.
  if (openings.more_new && wants_new(history)) return std::nullopt;
  const Trial* next = nullptr;
  for (const Trial& trial : history.trials()) {
    if (trial.state != TrialState::paused || !openings.fits(trial)) continue;
    if (next == nullptr || trial.epochs() < next->epochs()) next = &trial;
  }
  if (next == nullptr) return std::nullopt;
  // Trials beyond the population, and pauses before the first interval, come from a start with other
  // settings.
  if (!is_member(next->number) || intervals(*next) == 0) return TakeUp{next->number};
  return go_on(history, *next);
}

bool Population::wants_new(const History& history) {
  return static_cast<int64_t>(history.trials().size()) < settings_.population;
}

std::vector<const Trial*> Population::members(const History& history) const {
  std::vector<const Trial*> found;
  for (const Trial& trial : history.trials()) {
    bool counts = is_member(trial.number) && trial.state != TrialState::failed && !trial.reports.empty();
    if (counts) found.push_back(&trial);
  }
  return found;
}

bool Population::has_state(const Trial& trial) const {
  bool at_hand = trial.state == TrialState::paused || trial.state == TrialState::finished ||
                 trial.state == TrialState::running;
  return at_hand && intervals(trial) > 0;
}

RandomStream Population::draws(const Trial& member) const {
  uint64_t place = static_cast<uint64_t>(member.epochs()) << 32 | static_cast<uint64_t>(member.number);
  return {seed_, Purpose::sweep, place, population_draws};
}

}  // namespace trireme
