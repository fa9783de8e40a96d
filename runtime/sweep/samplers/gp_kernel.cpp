#include "sweep/samplers/gp_kernel.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

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
Term normal_prior(double x, double mean, double deviation) {
  double z = (x - mean) / deviation;
  return {0.5 * z * z, z / deviation};
}
Term gamma_prior(double log_x, double shape, double rate) {
  double x = std::exp(log_x);
  return {-(shape - 1) * log_x + rate * x, -(shape - 1) + rate * x};
}

// Indices of at most `most` points: the lowest half of them, and the others evenly from the rest.
std::vector<Index> choose_points(const Vector& targets, Index most) {
  std::vector<Index> order(static_cast<size_t>(targets.size()));
  std::iota(order.begin(), order.end(), Index{0});
  if (targets.size() <= most) return order;
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return targets[a] < targets[b]; });
  auto half = static_cast<size_t>(most / 2), wanted = static_cast<size_t>(most) - half;
  std::vector<Index> chosen(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(half));
  size_t rest = order.size() - half;
  for (size_t k = 0; k < wanted; ++k) chosen.push_back(order[half + k * rest / wanted]);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
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

Vector weighted_distances(const KernelSpace& space, const Vector& weights, const Vector& x, const Matrix& inputs) {
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
  double d = static_cast<double>(dimensions_);
  for (Index i = 0; i < dimensions_; ++i) {
    add(i, normal_prior(logarithms[i], -2 * (0.0 + 0.25 * std::log(d)), 2.0));
  }
  add(dimensions_, gamma_prior(logarithms[dimensions_], 2, 1));
  add(dimensions_ + 1, gamma_prior(logarithms[dimensions_ + 1], 1.1, 30));
  return value;
}

KernelParameters fit_kernel(const KernelSpace& space, const Matrix& inputs, const Vector& targets) {
  Index d = space.size();
  Vector low(d + 2), high(d + 2), start(d + 2);
  low << Vector::Constant(d, std::log(1e-4)), std::log(1e-2), std::log(least_noise);
  high << Vector::Constant(d, std::log(1e6)), std::log(1e3), 0;
  auto posterior_of = [&](Index most) {
    std::vector<Index> chosen = choose_points(targets, most);
    return KernelPosterior(space, inputs(chosen, Eigen::all), targets(chosen));
  };
  // Rough starts on few points: smooth or rough, noisy or not.
  KernelPosterior few = posterior_of(60);
  BoxMinimum best;
  best.value = std::numeric_limits<double>::infinity();
  for (double weight : {0.3, 3.0, 30.0}) {
    for (double noise : {1e-5, 1e-2}) {
      start << Vector::Constant(d, std::log(weight)), 0, std::log(noise);
      BoxMinimum found = minimize_in_box(few, start, low, high, {.evaluations = 30, .first_step = 1});
      if (found.value < best.value || best.at.size() == 0) best = std::move(found);
    }
  }
  KernelPosterior many = posterior_of(160);
  best = minimize_in_box(many, best.at, low, high, {.evaluations = 40, .gradient_tolerance = 1e-3, .first_step = 1});
  return {best.at.head(d).array().exp(), std::exp(best.at[d]), std::exp(best.at[d + 1])};
}

}  // namespace trireme
