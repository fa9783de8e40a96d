// What CMA-ES draws from and learns: a normal distribution over the numbers (Hansen, "The CMA evolution
// strategy: a tutorial", arXiv 1604.00772), with a margin that keeps integers from freezing (Hamano, Saito,
// Nomura, Shirakawa, "CMA-ES with margin", GECCO 2022), and one of its own over each choice, also with a
// margin (Hamano, Saito, Nomura, Uchida, Shirakawa, "CatCMA", GECCO 2024). All numbers are in units of their
// range, [0, 1].
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "base/rng.h"

namespace trireme {

// A draw before it is rounded to values: (numbers), and a place in each choice's list.
struct CmaSample {
  Eigen::VectorXd x;
  std::vector<int64_t> choices;
};

// The interval of a mean's value in a number that takes few values; an end that is an end of the range is
// nan.
struct CmaInterval {
  bool is_discrete = false;
  double low = 0, high = 0;
};

class CmaDistribution {
 public:
  // `lambda`: samples a generation, at least 2. `choices`: how many each choice has.
  CmaDistribution(Eigen::VectorXd mean, double sigma, int64_t lambda, const std::vector<int64_t>& choices);

  int64_t lambda() const { return lambda_; }
  const Eigen::VectorXd& mean() const { return mean_; }
  // Standard deviation of each number.
  Eigen::VectorXd deviations() const;
  const std::vector<Eigen::VectorXd>& probabilities() const { return probabilities_; }

  CmaSample draw(RandomStream& random) const;

  // lambda samples, the best first; those from `scored` on have failed: nothing is learnt of their order. The
  // samples may come from an earlier distribution (asynchrony), for which their steps are shortened to what
  // this one would have drawn (Hansen, "Injecting external solutions into CMA-ES", arXiv 1110.4181).
  void update(const std::vector<CmaSample>& ranked, size_t scored);
  // Keeps a probability of 1 / (lambda * dimensions) for values beside the mean's.
  void keep_margin(const std::vector<CmaInterval>& intervals);
  // Whether nothing new will come of it: steps below `smallest` in all numbers that are a continuum (the
  // others have their margin), or a degenerate covariance.
  bool is_exhausted(const std::vector<CmaInterval>& intervals, double smallest) const;

 private:
  void update_numbers(const std::vector<CmaSample>& ranked, const Eigen::VectorXd& weights);
  void update_choices(const std::vector<CmaSample>& ranked, const Eigen::VectorXd& weights);
  void decompose();

  int64_t lambda_;
  int64_t generation_ = 0;
  double sigma_;
  Eigen::VectorXd mean_;
  Eigen::VectorXd scale_;       // A's diagonal: the margin's
  Eigen::MatrixXd covariance_;  // C = axes_ diag(lengths_)^2 axes_'
  Eigen::MatrixXd axes_;
  Eigen::VectorXd lengths_;
  Eigen::VectorXd sigma_path_, covariance_path_;
  std::vector<Eigen::VectorXd> probabilities_;
};

}  // namespace trireme
