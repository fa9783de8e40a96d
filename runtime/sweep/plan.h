// What a sweep would do, for trireme-sweep --plan.
#pragma once

#include <string>

#include "config/sweep_config.h"

namespace trireme {

// The space, the budget, how many trials run side by side on so many ranks, and the first suggestions: what
// the sampler suggests while nothing is known. Throws ConfigError as run_sweep().
std::string plan_text(const SweepConfig& config, const Config& base, int ranks);

}  // namespace trireme
