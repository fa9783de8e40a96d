// A step whose loss is no number: where it began, in words.
#pragma once

#include <string>

#include "train/session.h"

namespace trireme {

// Computes the step that `outcome` tells of once more, looking at every tensor, and names the first one that
// is not finite, of all ranks' (parameters are looked at before all else): "step 13: the loss is nan ...,
// first in ...". Collective; the same on all ranks. Nothing has been updated and nothing is.
// `place`: who this is, where it is none of several ranks ("worker 3 on n2"); empty: the rank's number.
std::string explain_divergence(Session& session, const Batch& batch, int64_t step, const StepOutcome& outcome,
                               const std::string& place = "");

}  // namespace trireme
