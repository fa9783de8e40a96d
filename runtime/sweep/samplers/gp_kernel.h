// The kernel of the Gaussian process and how its parameters are found.
#pragma once

#include <Eigen/Core>
#include <vector>

namespace trireme {

// A product space: of each dimension numbers in [0, 1], or names (whole numbers that are alike or not).
struct KernelSpace {
  std::vector<bool> is_name;
  Eigen::Index size() const { return static_cast<Eigen::Index>(is_name.size()); }
};

// Matern 5/2 with a length scale a dimension: scale (1 + s + s^2 / 3) exp(-s), s^2 = 5 sum_j w_j d_j, where
// d_j is the squared distance in dimension j, or 1 between different names (Rasmussen and Williams, "Gaussian
// processes for machine learning", 2006, eq. 4.17). `noise`: the variance of what is observed around the
// function.
struct KernelParameters {
  Eigen::VectorXd weights;  // w_j: inverse squares of length scales
  double scale = 1;
  double noise = 1e-6;
};

// s^2 -> (1 + s + s^2 / 3) exp(-s), and its derivative by s^2: -(1 + s) exp(-s) / 6.
Eigen::ArrayXd matern(const Eigen::ArrayXd& s_squared);
Eigen::ArrayXd matern_slope(const Eigen::ArrayXd& s_squared);

// Weighted squared distances between x and the rows of `inputs`.
Eigen::VectorXd weighted_distances(const KernelSpace& space, const Eigen::VectorXd& weights,
                                   const Eigen::VectorXd& x, const Eigen::MatrixXd& inputs);

// Minus the logarithm of the parameters' posterior density, given targets of mean 0 and variance 1 (up to a
// constant): the marginal likelihood (Rasmussen and Williams, eq. 5.8) times priors. The parameters are their
// logarithms: d weights, scale, noise.
class KernelPosterior {
 public:
  // inputs: a row a point. At least one point.
  KernelPosterior(const KernelSpace& space, const Eigen::MatrixXd& inputs, Eigen::VectorXd targets);
  // Infinite where the covariance cannot be factorised.
  double operator()(const Eigen::VectorXd& logarithms, Eigen::VectorXd& gradient) const;

 private:
  Eigen::Index dimensions_;
  Eigen::MatrixXd
      distances_;  // a row a pair i > j, in the order of columns of the lower triangle; a column a dimension
  Eigen::VectorXd targets_;
};

struct KernelFit {
  KernelParameters parameters;
  double value;  // minus the logarithm of their posterior density
};

// The most probable parameters, from several starts. `targets`: of mean 0 and variance 1. A pure function of
// what it is given.
KernelFit fit_kernel(const KernelSpace& space, const Eigen::MatrixXd& inputs, const Eigen::VectorXd& targets);
// The most probable ones near `start`.
KernelFit refine_kernel(const KernelSpace& space, const Eigen::MatrixXd& inputs,
                        const Eigen::VectorXd& targets, const KernelParameters& start);

}  // namespace trireme
