// Which keys may change between a pause of a trial and its going on with another one's state.
#pragma once

#include "config/sweep_config.h"
#include "sweep/space.h"

namespace trireme {

// For schedulers that hand states from trial to trial. Throws ConfigError naming the row of [space] whose key
// is fixed for a run: it shapes parameters or the optimizer's memory, or says what a step or an epoch is.
void refuse_fixed_keys(const SweepConfig& config, const Space& space);

}  // namespace trireme
