// How population-based training makes new values from those of a better trial.
#pragma once

#include "base/rng.h"
#include "config/sweep_config.h"
#include "sweep/space.h"

namespace trireme {

// Each parameter is drawn anew with the resample probability. Else a number is multiplied or divided by the
// factor, which comes first by the toss of a coin, and moved by one where it can take whole values or steps
// alone and would not move otherwise; a choice becomes one of its neighbours. One that becomes active is
// drawn. The answer is settled and allowed: where 100 tries break a constraint it is `point` itself.
Point explored(const Space& space, const PopulationConfig& settings, const Point& point,
               RandomStream& random);

}  // namespace trireme
