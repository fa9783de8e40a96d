// A Gaussian process that has seen some values, and what trials that still run may come to.
#pragma once

#include <Eigen/Core>
#include <optional>

#include "sweep/samplers/gp_kernel.h"

namespace trireme {

// Of K sets of targets at the same inputs at once: they share the variance and differ in their means.
class GpPosterior {
 public:
  // inputs: n x d, a row a point; targets: n x K.
  GpPosterior(KernelSpace space, KernelParameters parameters, Eigen::MatrixXd inputs,
              const Eigen::MatrixXd& targets);

  struct Prediction {
    Eigen::VectorXd means;                // K
    double variance;                      // of the function, without noise; at least 1e-14 of the scale
    Eigen::VectorXd s_squared, whitened;  // for pull_back()
  };
  Prediction predict(const Eigen::VectorXd& x) const;
  // Of a row a point: means C x K, variances C.
  void predict(const Eigen::MatrixXd& points, Eigen::MatrixXd& means, Eigen::VectorXd& variances) const;

  // The gradient by x of sum_k mean_pulls[k] * means[k] + variance_pull * variance; 0 in dimensions of names.
  // `at`: predict(x).
  Eigen::VectorXd pull_back(const Eigen::VectorXd& x, const Prediction& at, const Eigen::VectorXd& mean_pulls,
                            double variance_pull) const;

  // This process (of the first set of targets) having seen, too, draws of the values, with noise, at the rows
  // of `points`: a set of targets a column of `normals`, which are standard normal numbers, points x draws.
  GpPosterior imagine(const Eigen::MatrixXd& points, const Eigen::MatrixXd& normals) const;

  // n x K: of the function, without the noise, where it has seen values.
  Eigen::MatrixXd means_at_inputs() const { return targets_ - parameters_.noise * pulls_; }
  // n x K: what it has seen.
  const Eigen::MatrixXd& targets() const { return targets_; }
  const KernelParameters& parameters() const { return parameters_; }

 private:
  KernelSpace space_;
  KernelParameters parameters_;
  Eigen::MatrixXd inputs_, targets_;
  Eigen::MatrixXd factor_;  // lower: of the covariance with its noise
  Eigen::MatrixXd pulls_;   // the covariance's inverse times the targets
};

// Whether a trial does not fail: where a process of labels is above `threshold`.
struct Success {
  GpPosterior labels;
  double threshold;
};

// log E[max(0, best - f(x))], averaged over the K sets, `best` being a number for each: the logarithm of the
// expected improvement (Ament et al. 2023), integrated over what pending trials may come to (Snoek et al.
// 2012). With `success` times the probability of that (Gelbart et al., "Bayesian optimization with unknown
// constraints", 2014).
class LogImprovement {
 public:
  LogImprovement(GpPosterior posterior, Eigen::VectorXd best, std::optional<Success> success = {});
  double operator()(const Eigen::VectorXd& x) const;
  double operator()(const Eigen::VectorXd& x, Eigen::VectorXd& gradient) const;
  // Of the rows of `points`.
  Eigen::VectorXd many(const Eigen::MatrixXd& points) const;
  const GpPosterior& posterior() const { return posterior_; }

 private:
  double value(const Eigen::VectorXd& means, double variance) const;
  double log_success(double mean, double variance) const;

  GpPosterior posterior_;
  Eigen::VectorXd best_;
  std::optional<Success> success_;
};

}  // namespace trireme
