// A population of trials that train side by side and take over each other's states: what pbt and ltfb share.
#pragma once

#include <cstdint>
#include <vector>

#include "base/rng.h"
#include "sweep/scheduler.h"

namespace trireme {

// The members are the first `population` trials. Each pauses whenever it has trained another interval, and
// the one that is least advanced is the first to go on, so all keep about abreast without waiting for each
// other. Members that failed are passed over: the population is smaller then.
class Population : public Scheduler {
 public:
  // Throws ConfigError as refuse_searched_epochs() and refuse_fixed_keys().
  Population(const SweepConfig& config, const PopulationConfig& settings, const Space& space,
             int64_t max_epochs);

  Verdict judge(const History& history, int64_t trial) override;
  std::optional<TakeUp> take_up(const History& history, const Openings& openings) override;
  bool wants_new(const History& history) override;
  bool copies_states() const override { return true; }

 protected:
  // What becomes of a member that is paused after at least one interval.
  virtual TakeUp go_on(const History& history, const Trial& member) const = 0;

  // Members that have not failed and have reported, by number.
  std::vector<const Trial*> members(const History& history) const;
  int64_t intervals(const Trial& trial) const { return trial.epochs() / settings_.interval_epochs; }
  // Whether there is a state of it to be taken over: it has paused, and not only crashed, before.
  bool has_state(const Trial& trial) const;
  // Draws for this member at this point of its training.
  RandomStream draws(const Trial& member) const;
  const PopulationConfig& settings() const { return settings_; }
  const Space& space() const { return space_; }

 private:
  bool is_member(int64_t trial) const { return trial < settings_.population; }

  PopulationConfig settings_;
  const Space& space_;
  int64_t max_epochs_;
  uint64_t seed_;
};

}  // namespace trireme
