#include "sweep/samplers/gp_posterior.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "sweep/samplers/normal.h"

namespace trireme {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;
using Eigen::Index;

namespace {

constexpr double least_variance = 1e-14;  // of the scale
constexpr double label_noise = 1e-2;      // what is right beside a failed trial is not quite sure to fail

Matrix covariance_of(const KernelSpace& space, const KernelParameters& parameters, const Matrix& from,
                     const Matrix& to) {
  Matrix covariance(from.rows(), to.rows());
  for (Index c = 0; c < to.rows(); ++c) {
    Vector distances = weighted_distances(space, parameters.weights, to.row(c), from);
    covariance.col(c) = parameters.scale * matern(5 * distances.array());
  }
  return covariance;
}

// The lower Cholesky factor; what is missing to a positive definite matrix is added to the diagonal.
Matrix factor_of(Matrix covariance) {
  double jitter = 1e-10 * covariance.diagonal().mean();
  for (int attempt = 0; attempt < 12; ++attempt, jitter *= 10) {
    Eigen::LLT<Matrix> factor(covariance);
    if (factor.info() == Eigen::Success) return factor.matrixL();
    covariance.diagonal().array() += jitter;
  }
  return covariance.diagonal().cwiseMax(1e-300).cwiseSqrt().asDiagonal();
}

}  // namespace

GpPosterior::GpPosterior(KernelSpace space, KernelParameters parameters, Matrix inputs, const Matrix& targets)
    : space_(std::move(space)),
      parameters_(std::move(parameters)),
      inputs_(std::move(inputs)),
      targets_(targets) {
  Matrix covariance = covariance_of(space_, parameters_, inputs_, inputs_);
  covariance.diagonal().array() += parameters_.noise;
  factor_ = factor_of(std::move(covariance));
  pulls_ = targets_;
  factor_.triangularView<Eigen::Lower>().solveInPlace(pulls_);
  factor_.triangularView<Eigen::Lower>().adjoint().solveInPlace(pulls_);
}

GpPosterior::Prediction GpPosterior::predict(const Vector& x) const {
  Prediction at;
  at.s_squared = 5 * weighted_distances(space_, parameters_.weights, x, inputs_);
  at.whitened = parameters_.scale * matern(at.s_squared.array());
  at.means = pulls_.transpose() * at.whitened;
  factor_.triangularView<Eigen::Lower>().solveInPlace(at.whitened);
  at.variance = std::max(parameters_.scale - at.whitened.squaredNorm(), least_variance * parameters_.scale);
  return at;
}

void GpPosterior::predict(const Matrix& points, Matrix& means, Vector& variances) const {
  Matrix k = covariance_of(space_, parameters_, inputs_, points);
  means.noalias() = k.transpose() * pulls_;
  factor_.triangularView<Eigen::Lower>().solveInPlace(k);
  variances = parameters_.scale - k.colwise().squaredNorm().transpose().array();
  variances = variances.cwiseMax(least_variance * parameters_.scale);
}

Vector GpPosterior::pull_back(const Vector& x, const Prediction& at, const Vector& mean_pulls,
                              double variance_pull) const {
  Vector k = at.whitened;
  factor_.triangularView<Eigen::Lower>().adjoint().solveInPlace(k);
  // By each covariance; the variance is scale - k^T C^-1 k.
  Vector by_covariance = pulls_ * mean_pulls - 2 * variance_pull * k;
  Vector by_distance = by_covariance.array() * (5 * parameters_.scale) * matern_slope(at.s_squared.array());
  Vector gradient = Vector::Zero(x.size());
  for (Index j = 0; j < x.size(); ++j) {
    if (space_.is_name[static_cast<size_t>(j)]) continue;
    gradient[j] = 2 * parameters_.weights[j] * (by_distance.array() * (x[j] - inputs_.col(j).array())).sum();
  }
  return gradient;
}

GpPosterior GpPosterior::imagine(const Matrix& points, const Matrix& normals) const {
  Index n = inputs_.rows(), more = points.rows(), draws = normals.cols();
  Matrix k = covariance_of(space_, parameters_, inputs_, points);
  Vector means = k.transpose() * pulls_.col(0);
  factor_.triangularView<Eigen::Lower>().solveInPlace(k);
  Matrix covariance = covariance_of(space_, parameters_, points, points) - k.transpose() * k;
  covariance.diagonal().array() += parameters_.noise;
  Matrix inputs(n + more, inputs_.cols()), targets(n + more, draws);
  inputs << inputs_, points;
  targets.topRows(n) = targets_.col(0).replicate(1, draws);
  targets.bottomRows(more) = (factor_of(std::move(covariance)) * normals).colwise() + means;
  return GpPosterior(space_, parameters_, std::move(inputs), targets);
}

LogImprovement::LogImprovement(GpPosterior posterior, Vector best, std::optional<Success> success)
    : posterior_(std::move(posterior)), best_(std::move(best)), success_(std::move(success)) {}

double LogImprovement::log_success(double mean, double variance) const {
  double z = (mean - success_->threshold) / std::sqrt(variance + label_noise);
  return log_normal_mass(-std::numeric_limits<double>::infinity(), z);
}

double LogImprovement::value(const Vector& means, double variance) const {
  double deviation = std::sqrt(variance), greatest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (Index k = 0; k < means.size(); ++k) {
    double one = log_improvement((best_[k] - means[k]) / deviation);
    if (one > greatest) {
      sum = sum * std::exp(greatest - one) + 1;
      greatest = one;
    } else {
      sum += std::exp(one - greatest);
    }
  }
  return greatest + std::log(sum / static_cast<double>(means.size())) + std::log(deviation);
}

double LogImprovement::operator()(const Vector& x) const {
  GpPosterior::Prediction at = posterior_.predict(x);
  double improvement = value(at.means, at.variance);
  if (!success_) return improvement;
  GpPosterior::Prediction label = success_->labels.predict(x);
  return improvement + log_success(label.means[0], label.variance);
}

double LogImprovement::operator()(const Vector& x, Vector& gradient) const {
  GpPosterior::Prediction at = posterior_.predict(x);
  double deviation = std::sqrt(at.variance), all = value(at.means, at.variance) - std::log(deviation);
  Vector mean_pulls(at.means.size());
  double by_deviation = 1 / deviation;
  for (Index k = 0; k < at.means.size(); ++k) {
    double z = (best_[k] - at.means[k]) / deviation;
    double share = std::exp(log_improvement(z) - all) / static_cast<double>(at.means.size());
    double slope = share * log_improvement_slope(z);
    mean_pulls[k] = -slope / deviation;
    by_deviation -= slope * z / deviation;
  }
  gradient = posterior_.pull_back(x, at, mean_pulls, by_deviation / (2 * deviation));
  double improvement = all + std::log(deviation);
  if (!success_) return improvement;
  GpPosterior::Prediction label = success_->labels.predict(x);
  double log_p = log_success(label.means[0], label.variance),
         spread = std::sqrt(label.variance + label_noise);
  double z = (label.means[0] - success_->threshold) / spread;
  double slope = std::exp(-0.5 * z * z - log_p) / std::sqrt(2 * M_PI);
  gradient += success_->labels.pull_back(x, label, Vector::Constant(1, slope / spread),
                                         -0.5 * slope * z / (spread * spread));
  return improvement + log_p;
}

Vector LogImprovement::many(const Matrix& points) const {
  Matrix means;
  Vector variances, values(points.rows());
  posterior_.predict(points, means, variances);
  for (Index c = 0; c < points.rows(); ++c) values[c] = value(means.row(c), variances[c]);
  if (!success_) return values;
  success_->labels.predict(points, means, variances);
  for (Index c = 0; c < points.rows(); ++c) values[c] += log_success(means(c, 0), variances[c]);
  return values;
}

}  // namespace trireme
