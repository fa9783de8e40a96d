// What a Gaussian process is to learn: the scores of trials, made such that one can.
#pragma once

#include <Eigen/Core>

#include "base/rng.h"
#include "sweep/samplers/observations.h"

namespace trireme {

// One target for every observation that is not pending, in their order: of mean 0 and variance 1, lower is better. Trials
// that were left early have what they would be expected to come to, failed ones the worst of all. Several
// objectives are weighted by numbers drawn from `random`. At least one observation has scores.
Eigen::VectorXd gp_targets(const History& history, const std::vector<Observation>& observations, bool at_best,
                           RandomStream& random);

// log(1 + (y - lowest) / knee), with the knee (from a thousandth of the range up, or none at all) that makes the values
// look most like normal ones (Box and Cox 1964), so that a few very bad values do not hide what lies below them; then
// of mean 0 and variance 1.
Eigen::VectorXd warp(const Eigen::VectorXd& values);

}  // namespace trireme
