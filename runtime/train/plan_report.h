// trireme-train --plan: what would run, from the config and the data set's header alone.
#pragma once

#include <string>

#include "config/config.h"

namespace trireme {

// Text: the training program's nodes with shapes, parameters, FLOPs per sample, and bytes of parameters,
// gradients, optimizer state, activations (planned and unplanned) and exchange per step, for rank 0 of
// `ranks`. Writes nothing. Throws like train() does before its first step.
std::string plan_report(const Config& config, int ranks);

}  // namespace trireme
