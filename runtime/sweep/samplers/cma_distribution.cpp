#include "sweep/samplers/cma_distribution.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <boost/math/special_functions/erf.hpp>
#include <cmath>

namespace trireme {
namespace {

// Of a standard normal variable: the probability below x, and the point with probability p above it.
double normal_below(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }
double normal_quantile_above(double p) {
  return std::sqrt(2.0) * boost::math::erfc_inv(std::clamp(2 * p, 1e-300, 2.0));
}

// The tutorial's table 1, for `n` numbers and `lambda` samples.
struct CmaConstants {
  Eigen::VectorXd weights;  // one a rank; the first mu positive with sum 1, the others negative
  double mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu, expected_norm;

  CmaConstants(double n, int64_t lambda) {
    weights.resize(lambda);
    double positive = 0, negative = 0, squares = 0, negative_squares = 0;
    for (int64_t i = 0; i < lambda; ++i) {
      double w = std::log((static_cast<double>(lambda) + 1) / 2) - std::log(static_cast<double>(i + 1));
      weights[i] = w;
      (w > 0 ? positive : negative) += std::abs(w);
      (w > 0 ? squares : negative_squares) += w * w;
    }
    mu_eff = positive * positive / squares;
    double negative_mu_eff = negative_squares > 0 ? negative * negative / negative_squares : 0;
    c_sigma = (mu_eff + 2) / (n + mu_eff + 5);
    d_sigma = 1 + 2 * std::max(0.0, std::sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma;
    c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n);
    c_1 = 2 / ((n + 1.3) * (n + 1.3) + mu_eff);
    c_mu = std::min(1 - c_1, 2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((n + 2) * (n + 2) + mu_eff));
    expected_norm = std::sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
    double most_negative =
        std::min({1 + c_1 / c_mu, 1 + 2 * negative_mu_eff / (mu_eff + 2), (1 - c_1 - c_mu) / (n * c_mu)});
    for (double& w : weights) w *= w > 0 ? 1 / positive : negative > 0 ? most_negative / negative : 0;
  }
};

}  // namespace

CmaDistribution::CmaDistribution(Eigen::VectorXd mean, double sigma, int64_t lambda,
                                 const std::vector<int64_t>& choices)
    : lambda_(lambda), sigma_(sigma), mean_(std::move(mean)) {
  Eigen::Index n = mean_.size();
  scale_ = lengths_ = Eigen::VectorXd::Ones(n);
  covariance_ = axes_ = Eigen::MatrixXd::Identity(n, n);
  sigma_path_ = covariance_path_ = Eigen::VectorXd::Zero(n);
  for (int64_t count : choices) {
    probabilities_.push_back(Eigen::VectorXd::Constant(count, 1 / static_cast<double>(count)));
  }
}

Eigen::VectorXd CmaDistribution::deviations() const {
  return sigma_ * scale_.cwiseProduct(covariance_.diagonal().cwiseSqrt());
}

CmaSample CmaDistribution::draw(RandomStream& random) const {
  CmaSample sample;
  Eigen::VectorXd z(mean_.size());
  for (double& one : z) one = random.normal();
  sample.x = mean_ + sigma_ * scale_.cwiseProduct(axes_ * lengths_.cwiseProduct(z));
  for (const Eigen::VectorXd& probabilities : probabilities_) {
    double left = random.uniform();
    int64_t choice = 0;
    while (choice + 1 < probabilities.size() && left >= probabilities[choice])
      left -= probabilities[choice++];
    sample.choices.push_back(choice);
  }
  return sample;
}

void CmaDistribution::update(const std::vector<CmaSample>& ranked, size_t scored) {
  if (scored == 0) return;
  CmaConstants constants(static_cast<double>(std::max<Eigen::Index>(mean_.size(), 1)), lambda_);
  Eigen::VectorXd weights = constants.weights;
  // Failed ones are no direction to go in, whatever their place; and all are equally bad.
  double positive = 0;
  for (Eigen::Index i = 0; i < weights.size(); ++i) {
    bool failed = i >= static_cast<Eigen::Index>(scored);
    if (failed) weights[i] = std::min(weights[i], 0.0);
    positive += std::max(weights[i], 0.0);
  }
  for (double& w : weights) w = w > 0 ? w / positive : w;
  if (mean_.size() > 0) update_numbers(ranked, weights);
  update_choices(ranked, weights);
  ++generation_;
}

void CmaDistribution::update_numbers(const std::vector<CmaSample>& ranked, const Eigen::VectorXd& weights) {
  Eigen::Index dimensions = mean_.size();
  auto n = static_cast<double>(dimensions);
  CmaConstants constants(n, lambda_);
  // Steps y = A^-1 (x - m) / sigma, no longer than such that this distribution would have drawn.
  double longest = std::sqrt(n) + 2 * n / (n + 2);
  Eigen::MatrixXd steps(dimensions, lambda_), whitened(dimensions, lambda_);
  for (Eigen::Index i = 0; i < lambda_; ++i) {
    Eigen::VectorXd step = (ranked[static_cast<size_t>(i)].x - mean_).cwiseQuotient(scale_) / sigma_;
    Eigen::VectorXd white = axes_ * (axes_.transpose() * step).cwiseQuotient(lengths_);
    double shortening = std::min(1.0, longest / std::max(white.norm(), 1e-300));
    steps.col(i) = shortening * step;
    whitened.col(i) = shortening * white;
  }
  Eigen::VectorXd positive = weights.cwiseMax(0.0);
  Eigen::VectorXd step = steps * positive;
  mean_ += sigma_ * scale_.cwiseProduct(step);

  double c_sigma = constants.c_sigma, c_c = constants.c_c;
  double mu_eff = 1 / positive.squaredNorm();
  sigma_path_ =
      (1 - c_sigma) * sigma_path_ + std::sqrt(c_sigma * (2 - c_sigma) * mu_eff) * (whitened * positive);
  double settled = std::sqrt(1 - std::pow(1 - c_sigma, 2 * (static_cast<double>(generation_) + 1)));
  bool moves = sigma_path_.norm() / settled < (1.4 + 2 / (n + 1)) * constants.expected_norm;
  covariance_path_ = (1 - c_c) * covariance_path_ + (moves ? std::sqrt(c_c * (2 - c_c) * mu_eff) : 0) * step;

  Eigen::VectorXd learned = weights;
  for (Eigen::Index i = 0; i < lambda_; ++i) {
    if (learned[i] < 0) learned[i] *= n / std::max(whitened.col(i).squaredNorm(), 1e-300);
  }
  double kept =
      1 - constants.c_1 - constants.c_mu * weights.sum() + (moves ? 0 : constants.c_1 * c_c * (2 - c_c));
  covariance_ = kept * covariance_ + constants.c_1 * covariance_path_ * covariance_path_.transpose() +
                constants.c_mu * steps * learned.asDiagonal() * steps.transpose();
  sigma_ *= std::exp(
      std::min(1.0, c_sigma / constants.d_sigma * (sigma_path_.norm() / constants.expected_norm - 1)));
  decompose();
  // The range is [0, 1]: nothing is gained by steps that leave it.
  constexpr double widest = 0.5;
  sigma_ /= std::max(1.0, deviations().maxCoeff() / widest);
}

void CmaDistribution::decompose() {
  covariance_ = 0.5 * (covariance_ + covariance_.transpose()).eval();
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance_);
  // Negative weights keep it positive definite in exact arithmetic alone.
  double least = 1e-15 * std::max(solver.eigenvalues().maxCoeff(), 1e-300);
  lengths_ = solver.eigenvalues().cwiseMax(least).cwiseSqrt();
  axes_ = solver.eigenvectors();
  covariance_ = axes_ * lengths_.cwiseAbs2().asDiagonal() * axes_.transpose();
}

void CmaDistribution::update_choices(const std::vector<CmaSample>& ranked, const Eigen::VectorXd& weights) {
  Eigen::VectorXd positive = weights.cwiseMax(0.0);
  double mu_eff = 1 / positive.squaredNorm();
  auto count = static_cast<double>(probabilities_.size());
  for (size_t k = 0; k < probabilities_.size(); ++k) {
    Eigen::VectorXd& probabilities = probabilities_[k];
    auto values = static_cast<double>(probabilities.size());
    if (values < 2) continue;
    // The natural gradient of a categorical distribution is (one-hot - probabilities). The rate is as with
    // which mu_eff samples are to tell so many values apart.
    double rate = std::min(0.5, mu_eff / (mu_eff + 2 * (values - 1)));
    Eigen::VectorXd seen = Eigen::VectorXd::Zero(probabilities.size());
    for (size_t i = 0; i < ranked.size(); ++i) {
      seen[ranked[i].choices[k]] += positive[static_cast<Eigen::Index>(i)];
    }
    probabilities += rate * (seen - probabilities);
    // CatCMA's margin: all choices together are the likeliest ones in at most 0.73 of the samples.
    double margin = (1 - std::pow(0.73, 1 / count)) / (values - 1);
    probabilities = probabilities.cwiseMax(margin);
    double surplus = probabilities.sum() - 1;
    Eigen::VectorXd above = probabilities.array() - margin;
    if (above.sum() > 0) probabilities -= above * (surplus / above.sum());
  }
}

void CmaDistribution::keep_margin(const std::vector<CmaInterval>& intervals) {
  double margin = 1 / static_cast<double>(lambda_ * std::max<Eigen::Index>(mean_.size(), 1));
  Eigen::VectorXd deviation = deviations();
  for (Eigen::Index i = 0; i < mean_.size(); ++i) {
    const CmaInterval& interval = intervals[static_cast<size_t>(i)];
    if (!interval.is_discrete || (std::isnan(interval.low) && std::isnan(interval.high))) continue;
    double& m = mean_[i];
    if (std::isnan(interval.low) || std::isnan(interval.high)) {
      // Beside an end of the range: the mean comes so near the next value that it is drawn often enough.
      double edge = std::isnan(interval.low) ? interval.high : interval.low;
      double reach = normal_quantile_above(margin) * deviation[i];
      m = edge + std::copysign(std::min(std::abs(m - edge), reach), m - edge);
      continue;
    }
    // Between two values: shares below and above are raised to margin / 2, at the expense of the middle.
    double below = normal_below((interval.low - m) / deviation[i]);
    double above = normal_below((m - interval.high) / deviation[i]);
    double middle = 1 - below - above;
    if (below >= margin / 2 && above >= margin / 2) continue;
    double raised_below = std::max(margin / 2, below), raised_above = std::max(margin / 2, above);
    double share =
        (1 - raised_below - raised_above - middle) / (raised_below + raised_above + middle - 3 * margin / 2);
    double far_below = normal_quantile_above(raised_below + share * (raised_below - margin / 2));
    double far_above = normal_quantile_above(raised_above + share * (raised_above - margin / 2));
    double width = interval.high - interval.low;
    m = (interval.low * far_above + interval.high * far_below) / (far_below + far_above);
    scale_[i] *= width / (far_below + far_above) / deviation[i];
  }
}

bool CmaDistribution::is_exhausted(const std::vector<CmaInterval>& intervals, double smallest) const {
  if (mean_.size() == 0) return false;
  if (!std::isfinite(sigma_) || !mean_.allFinite()) return true;
  bool has_continuum = false;
  double widest = 0;
  Eigen::VectorXd deviation = deviations();
  for (Eigen::Index i = 0; i < mean_.size(); ++i) {
    if (intervals[static_cast<size_t>(i)].is_discrete) continue;
    has_continuum = true;
    widest = std::max(widest, deviation[i]);
  }
  return (has_continuum && widest < smallest) || lengths_.maxCoeff() > 1e7 * lengths_.minCoeff();
}

}  // namespace trireme
