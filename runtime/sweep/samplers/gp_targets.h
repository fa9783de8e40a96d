// What a Gaussian process is to learn: the scores of trials, made such that one can.
#pragma once

#include <Eigen/Core>

#include "base/rng.h"
#include "sweep/samplers/observations.h"

namespace trireme {

// A value for every observation that has scores, in their order: lower is better. Trials that were left early
// have what they would be expected to come to. Several objectives are weighted by numbers drawn from
// `random`. At least one observation has scores.
Eigen::VectorXd gp_targets(const History& history, const std::vector<Observation>& observations, bool at_best,
                           RandomStream& random);

}  // namespace trireme
