// Densities by Parzen's estimator over several parameters at once: a mixture with a kernel around each of a
// set of values, each kernel a product over the parameters (Falkner et al., "BOHB", ICML 2018; Watanabe,
// "Tree-structured Parzen estimator: understanding its algorithm components", 2023).
#pragma once

#include <cstddef>
#include <vector>

#include "base/rng.h"
#include "sweep/samplers/axis.h"

namespace trireme {

struct ParzenSettings {
  double prior_weight = 1;     // of the flat kernel over the whole range, in kernels
  double least_deviation = 0;  // of a kernel, of the axis' length; 0: 1 / min(100, kernels + 1)
  double choice_weight =
      1;  // of all choices together beside the one that a kernel is about, divided by the kernels
  double width_factor = 1;    // of kernels that follow their spread
  bool by_neighbours = true;  // a kernel's width by the distance to its neighbours; else by the spread of all
};

// The kernels of one parameter: Gaussians truncated to the axis (of a discrete parameter, their masses in its
// cells), or of a choice probabilities, more of them on the kernel's own.
class ParzenAxis {
 public:
  ParzenAxis(const Axis& axis, const std::vector<double>& values, size_t dimensions,
             const ParzenSettings& settings);
  double draw(size_t kernel, RandomStream& random) const;
  // Adds to sums[k] the logarithm of kernel k's density (or probability) at the value.
  void add_log_densities(double value, std::vector<double>& sums) const;

 private:
  Axis axis_;
  std::vector<double> means_, deviations_;  // the last one is the prior's
  std::vector<double> log_norms_;           // of a continuum: of deviation and mass; of cells: of the mass
  std::vector<size_t> chosen_;
  double log_other_ = 0, log_own_ = 0;  // of choices, and the probability of the other one
};

class ParzenMixture {
 public:
  // values[k][j]: of kernel k on axes[j], none nan. `weights`: of the kernels but the prior's, above 0.
  ParzenMixture(const std::vector<Axis>& axes, const std::vector<std::vector<double>>& values,
                const std::vector<double>& weights, const ParzenSettings& settings);
  std::vector<double> draw(RandomStream& random) const;
  double log_density(const std::vector<double>& values) const;

 private:
  std::vector<ParzenAxis> axes_;
  std::vector<double> cumulated_, log_weights_;
};

}  // namespace trireme
