// A Gaussian process fitted to the scores of trials: its kernel, and on which scale of the scores it fits
// best.
#pragma once

#include <Eigen/Core>

#include "sweep/samplers/gp_kernel.h"

namespace trireme {

struct GpModel {
  KernelParameters kernel;
  double knee = 0;  // of warp()
};

// Values of mean 0 and variance 1: log(1 + (v - lowest) / (knee (median - lowest))), so that a few very bad
// values do not hide what lies below them; with a knee of 0 just v. Where all values are the same, zeros.
Eigen::VectorXd warp(const Eigen::VectorXd& values, double knee);
// The sum over values of the logarithm of warp()'s slope.
double log_warp_slopes(const Eigen::VectorXd& values, double knee);

// The most probable of some knees and of all kernels: of a warped process, whose density is that of the
// warped values times the warp's slopes (Snelson et al., "Warped Gaussian processes", NeurIPS 2003). Learns
// from at most 160 trials: the lower half of them the best, the others spread over the rest. A pure function
// of what it is given; inputs: a row a value, at least one.
GpModel fit_model(const KernelSpace& space, const Eigen::MatrixXd& inputs, const Eigen::VectorXd& values);

}  // namespace trireme
