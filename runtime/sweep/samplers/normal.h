// The normal distribution in the forms that samplers ask for: accurate far out in its tails, where expected
// improvements and masses of cells live.
#pragma once

#include <cstdint>

#include "base/rng.h"

namespace trireme {

// Uniform in (0, 1) with 53 bits: two words of the stream.
double uniform_double(RandomStream& random);

double normal_cdf(double z);
// The inverse of normal_cdf(), for 0 < p < 1, to about 1e-15: Wichura, "Algorithm AS 241", 1988.
double normal_quantile(double p);
// Of the standard normal between a <= b: log(normal_cdf(b) - normal_cdf(a)), without cancellation; -infinity
// where a == b or so far out that doubles end.
double log_normal_mass(double a, double b);
// A draw from the normal of this mean and deviation, given that it lies in [low, high], which the mean does
// too.
double draw_truncated_normal(RandomStream& random, double mean, double deviation, double low, double high);

// log E[max(0, z + N(0, 1))] and its derivative: the logarithm of the expected improvement of a point whose
// mean is z deviations better than what there is. Never -infinity for finite z: Ament et al., "Unexpected
// improvements to expected improvement for Bayesian optimization", NeurIPS 2023, eq. 9.
double log_improvement(double z);
double log_improvement_slope(double z);

}  // namespace trireme
