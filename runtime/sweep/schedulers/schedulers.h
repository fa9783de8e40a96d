// The schedulers, one file each, and what several of them ask of a history. Callers use sweep/scheduler.h.
#pragma once

#include <cstdint>
#include <memory>

#include "sweep/scheduler.h"

namespace trireme {

// As make_scheduler(); `space` outlives them.
std::unique_ptr<Scheduler> make_no_scheduler(const SweepConfig& config, const Space& space,
                                             int64_t max_epochs);
std::unique_ptr<Scheduler> make_median(const SweepConfig& config, const Space& space, int64_t max_epochs);
std::unique_ptr<Scheduler> make_asha(const SweepConfig& config, const Space& space, int64_t max_epochs);
std::unique_ptr<Scheduler> make_hyperband(const SweepConfig& config, const Space& space, int64_t max_epochs);
std::unique_ptr<Scheduler> make_pbt(const SweepConfig& config, const Space& space, int64_t max_epochs);
std::unique_ptr<Scheduler> make_ltfb(const SweepConfig& config, const Space& space, int64_t max_epochs);

// For schedulers that themselves say how far a trial trains: throws ConfigError where the space searches
// train.epochs, naming the row.
void refuse_searched_epochs(const SweepConfig& config, const Space& space);

// The paused trial of the lowest number that fits, with its own state. For schedulers that pause none: such
// trials come from a start of the sweep with another scheduler, and train on to their end.
std::optional<TakeUp> take_up_any(const History& history, const Openings& openings);

}  // namespace trireme
