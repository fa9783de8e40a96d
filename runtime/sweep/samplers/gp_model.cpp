#include "sweep/samplers/gp_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace trireme {

namespace {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;
using Eigen::Index;

constexpr Index most_points = 160, few_points = 80;

double median_of(Vector values) {
  auto middle = values.begin() + values.size() / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Indices of at most `most` points: the lowest half of them, and the others evenly from the rest.
std::vector<Index> choose_points(const Vector& values, Index most) {
  std::vector<Index> order(static_cast<size_t>(values.size()));
  std::iota(order.begin(), order.end(), Index{0});
  if (values.size() <= most) return order;
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return values[a] < values[b]; });
  auto half = static_cast<size_t>(most / 2), wanted = static_cast<size_t>(most) - half;
  std::vector<Index> chosen(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(half));
  size_t rest = order.size() - half;
  for (size_t k = 0; k < wanted; ++k) chosen.push_back(order[half + k * rest / wanted]);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

Vector standardised(const Vector& values) {
  Eigen::ArrayXd centred = values.array() - values.mean();
  double deviation = std::sqrt(centred.square().mean());
  return centred / (deviation > 0 ? deviation : 1);
}

// knee * (median - lowest), or of the range where half of all values are the lowest.
double knee_of(const Vector& values, double knee) {
  double lowest = values.minCoeff(), middle = median_of(values);
  return knee * ((middle > lowest ? middle : values.maxCoeff()) - lowest);
}

}  // namespace

Vector warp(const Vector& values, double knee) {
  if (!(values.maxCoeff() > values.minCoeff())) return Vector::Zero(values.size());
  if (knee == 0) return standardised(values);
  return standardised((1 + (values.array() - values.minCoeff()) / knee_of(values, knee)).log());
}

double log_warp_slopes(const Vector& values, double knee) {
  double lowest = values.minCoeff(), width = knee_of(values, knee), n = static_cast<double>(values.size());
  if (!(values.maxCoeff() > lowest)) return 0;
  Eigen::ArrayXd bent = values;
  double sum = 0;
  if (knee > 0) {
    bent = (1 + (values.array() - lowest) / width).log();
    sum = -(width + (values.array() - lowest)).log().sum();
  }
  return sum - 0.5 * n * std::log((bent - bent.mean()).square().mean());
}

GpModel fit_model(const KernelSpace& space, const Matrix& inputs, const Vector& values) {
  std::vector<Index> few = choose_points(values, few_points), many = choose_points(values, most_points);
  Matrix few_inputs = inputs(few, Eigen::all);
  Vector few_values = values(few);
  GpModel best;
  double least = std::numeric_limits<double>::infinity();
  for (double knee : {0.0, 1.0, 0.1}) {
    KernelFit fit = fit_kernel(space, few_inputs, warp(few_values, knee));
    double value = fit.value - log_warp_slopes(few_values, knee);
    if (value < least) {
      least = value;
      best = {std::move(fit.parameters), knee};
    }
  }
  best.kernel =
      refine_kernel(space, inputs(many, Eigen::all), warp(values(many), best.knee), best.kernel).parameters;
  return best;
}

}  // namespace trireme
