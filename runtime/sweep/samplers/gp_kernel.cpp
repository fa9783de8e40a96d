#include "sweep/samplers/gp_kernel.h"

#include <Eigen/Cholesky>
#include <cmath>
#include <limits>
#include <utility>

#include "sweep/samplers/box_minimum.h"

namespace trireme {

namespace {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;
using Eigen::Index;

constexpr double least_noise = 1e-7;

// Priors, as minus log densities of the logarithms; `slope` is the derivative.
struct Term {
  double value, slope;
};

// Length scales are log-normal, two thirds of them within a factor of two of d^(1/4) sides of the box: longer in
// more dimensions, where all points are far apart (as Hvarfner et al., "Vanilla Bayesian optimization
// performs great in high dimensions", ICML 2024, do it; their prior is wider: on functions held out it was
// the worse one).
Term length_prior(double log_weight, double dimensions) {
  constexpr double deviation = 1.4;  // of a weight's logarithm: twice a length's
  double z = (log_weight + 0.5 * std::log(dimensions)) / deviation;
  return {0.5 * z * z, z / deviation};
}
// Gamma(2, 1): targets have a variance of 1.
Term scale_prior(double log_scale) {
  double scale = std::exp(log_scale);
  return {scale - log_scale, scale - 1};
}
// Half-Cauchy of width 0.1 for the noise's deviation (Gelman 2006): little is likeliest, much is not ruled
// out.
Term noise_prior(double log_noise) {
  double ratio = std::exp(log_noise) / 1e-2;
  return {std::log1p(ratio), ratio / (1 + ratio)};
}

Vector logarithms_of(const KernelParameters& parameters) {
  Vector logarithms(parameters.weights.size() + 2);
  logarithms << parameters.weights.array().log().matrix(), std::log(parameters.scale),
      std::log(parameters.noise);
  return logarithms;
}

KernelFit descend(const KernelPosterior& posterior, Index d, const Vector& start, int evaluations) {
  Vector low(d + 2), high(d + 2);
  low << Vector::Constant(d, std::log(1e-4)), std::log(1e-2), std::log(least_noise);
  high << Vector::Constant(d, std::log(1e6)), std::log(1e3), 0;
  BoxMinimum found = minimize_in_box(
      posterior, start, low, high, {.evaluations = evaluations, .gradient_tolerance = 1e-3, .first_step = 1});
  return {{found.at.head(d).array().exp(), std::exp(found.at[d]), std::exp(found.at[d + 1])}, found.value};
}

}  // namespace

Eigen::ArrayXd matern(const Eigen::ArrayXd& s_squared) {
  Eigen::ArrayXd s = s_squared.sqrt();
  return (1 + s + s_squared / 3) * (-s).exp();
}

Eigen::ArrayXd matern_slope(const Eigen::ArrayXd& s_squared) {
  Eigen::ArrayXd s = s_squared.sqrt();
  return (1 + s) * (-s).exp() / -6;
}

Vector weighted_distances(const KernelSpace& space, const Vector& weights, const Vector& x,
                          const Matrix& inputs) {
  Vector sums = Vector::Zero(inputs.rows());
  for (Index j = 0; j < space.size(); ++j) {
    if (space.is_name[static_cast<size_t>(j)]) {
      sums.array() += weights[j] * (inputs.col(j).array() != x[j]).cast<double>();
    } else {
      sums.array() += weights[j] * (inputs.col(j).array() - x[j]).square();
    }
  }
  return sums;
}

KernelPosterior::KernelPosterior(const KernelSpace& space, const Matrix& inputs, Vector targets)
    : dimensions_(space.size()), targets_(std::move(targets)) {
  Index n = inputs.rows();
  distances_.resize(n * (n - 1) / 2, dimensions_);
  for (Index d = 0; d < dimensions_; ++d) {
    bool is_name = space.is_name[static_cast<size_t>(d)];
    for (Index j = 0, pair = 0; j < n; ++j) {
      for (Index i = j + 1; i < n; ++i, ++pair) {
        double apart = inputs(i, d) - inputs(j, d);
        distances_(pair, d) = is_name ? (apart != 0 ? 1.0 : 0.0) : apart * apart;
      }
    }
  }
}

double KernelPosterior::operator()(const Vector& logarithms, Vector& gradient) const {
  Index n = targets_.size();
  Vector weights = logarithms.head(dimensions_).array().exp();
  double scale = std::exp(logarithms[dimensions_]), noise = std::exp(logarithms[dimensions_ + 1]);
  Eigen::ArrayXd s_squared = 5 * (distances_ * weights).array();
  Eigen::ArrayXd roots = s_squared.sqrt(), decay = (-roots).exp();
  Eigen::ArrayXd values = scale * (1 + roots + s_squared / 3) * decay;
  Matrix covariance(n, n);
  for (Index j = 0, pair = 0; j < n; ++j) {
    covariance(j, j) = scale + noise;
    covariance.col(j).tail(n - j - 1) = values.segment(pair, n - j - 1);
    pair += n - j - 1;
  }
  Eigen::LLT<Eigen::Ref<Matrix>> factor(covariance);
  if (factor.info() != Eigen::Success) return std::numeric_limits<double>::infinity();
  Vector alpha = factor.solve(targets_);
  double value = 0.5 * targets_.dot(alpha) + covariance.diagonal().array().log().sum();
  // d value / d K = (K^-1 - alpha alpha^T) / 2.
  Matrix inverse = factor.solve(Matrix::Identity(n, n));
  Eigen::ArrayXd pulls(values.size());  // of both halves of the symmetric matrix
  for (Index j = 0, pair = 0; j < n; ++j) {
    Index below = n - j - 1;
    pulls.segment(pair, below) = (inverse.col(j).tail(below) - alpha[j] * alpha.tail(below)).array();
    pair += below;
  }
  double trace = 0.5 * (inverse.diagonal().sum() - alpha.squaredNorm());
  gradient.resize(dimensions_ + 2);
  Vector by_distance = (pulls * scale * (1 + roots) * decay * (-5.0 / 6)).matrix();
  gradient.head(dimensions_) = weights.array() * (distances_.transpose() * by_distance).array();
  gradient[dimensions_] = (pulls * values).sum() + trace * scale;
  gradient[dimensions_ + 1] = trace * noise;

  auto add = [&](Index i, Term term) {
    value += term.value;
    gradient[i] += term.slope;
  };
  for (Index i = 0; i < dimensions_; ++i)
    add(i, length_prior(logarithms[i], static_cast<double>(dimensions_)));
  add(dimensions_, scale_prior(logarithms[dimensions_]));
  add(dimensions_ + 1, noise_prior(logarithms[dimensions_ + 1]));
  return value;
}

KernelFit refine_kernel(const KernelSpace& space, const Matrix& inputs, const Vector& targets,
                        const KernelParameters& start) {
  return descend(KernelPosterior(space, inputs, targets), space.size(), logarithms_of(start), 60);
}

KernelFit fit_kernel(const KernelSpace& space, const Matrix& inputs, const Vector& targets) {
  KernelPosterior posterior(space, inputs, targets);
  KernelFit best;
  best.value = std::numeric_limits<double>::infinity();
  for (double weight : {0.3, 3.0, 30.0}) {
    for (double noise : {1e-5, 1e-2}) {
      KernelParameters start{Vector::Constant(space.size(), weight), 1, noise};
      KernelFit found = descend(posterior, space.size(), logarithms_of(start), 30);
      if (found.value < best.value || best.parameters.weights.size() == 0) best = std::move(found);
    }
  }
  return best;
}

}  // namespace trireme
