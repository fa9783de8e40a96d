// The model measured on the validation set.
#pragma once

#include <functional>
#include <optional>

#include "train/session.h"

namespace trireme {

// Every rank takes its slice; the sums of loss, hits and counts are added over ranks in float64, so that the
// figures differ between numbers of ranks by rounding alone. Collective. `step` names the record. When any
// rank's `stop_requested` turns true meanwhile, ranks skip the rest and all return nothing. Throws DataError.
std::optional<ValidationRecord> validate(Session& session, int64_t step,
                                         const std::function<bool()>& stop_requested);

}  // namespace trireme
