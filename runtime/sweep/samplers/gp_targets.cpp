#include "sweep/samplers/gp_targets.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sweep/samplers/normal.h"

namespace trireme {

namespace {

using Vector = Eigen::VectorXd;
using Eigen::Index;

constexpr double augmentation = 0.05;  // of the weighted sum beside the greatest: Knowles 2006

Vector standardised(const Vector& values) {
  double mean = values.mean();
  double deviation = std::sqrt((values.array() - mean).square().mean());
  return (values.array() - mean) / (deviation > 0 ? deviation : 1);
}

// Weights that sum to 1, uniform over all such.
Vector draw_weights(size_t count, RandomStream& random) {
  Vector weights(static_cast<Index>(count));
  for (double& weight : weights) weight = -std::log(uniform_double(random));
  return weights / weights.sum();
}

// nan counts as the greatest of the others.
void replace_missing(Vector& values) {
  double worst = -std::numeric_limits<double>::infinity();
  for (double value : values) worst = std::isnan(value) ? worst : std::max(worst, value);
  for (double& value : values) value = std::isnan(value) ? worst : value;
}

}  // namespace

Vector warp(const Vector& values) {
  double lowest = values.minCoeff(), range = values.maxCoeff() - lowest, n = static_cast<double>(values.size());
  if (!(range > 0)) return Vector::Zero(values.size());
  Vector best = values;
  double most = -0.5 * n * std::log((values.array() - values.mean()).square().mean());
  for (double knee = range; knee > 0.9e-3 * range; knee /= std::sqrt(10)) {
    Eigen::ArrayXd grown = 1 + (values.array() - lowest) / knee;
    Vector bent = grown.log();
    double likelihood = -0.5 * n * std::log((bent.array() - bent.mean()).square().mean()) - (grown * knee).log().sum();
    if (likelihood > most) {
      most = likelihood;
      best = bent;
    }
  }
  return standardised(best);
}

Vector gp_targets(const History& history, const std::vector<Observation>& observations, bool at_best,
                  RandomStream& random) {
  size_t objectives = 0;
  for (const Observation& one : observations) objectives = std::max(objectives, one.scores.size());
  std::vector<Vector> columns;
  for (size_t k = 0; k < objectives; ++k) {
    std::vector<double> scores = expected_scores(history, observations, k, at_best), ended;
    for (size_t i = 0; i < scores.size(); ++i) {
      if (observations[i].kind != Observation::Kind::pending) ended.push_back(scores[i]);
    }
    Vector column = Eigen::Map<Vector>(ended.data(), static_cast<Index>(ended.size()));
    replace_missing(column);
    columns.push_back(std::move(column));
  }
  if (objectives == 1) return warp(columns[0]);
  Vector weights = draw_weights(objectives, random);
  Vector greatest = Vector::Constant(columns[0].size(), -std::numeric_limits<double>::infinity());
  Vector sum = Vector::Zero(columns[0].size());
  for (size_t k = 0; k < objectives; ++k) {
    double range = columns[k].maxCoeff() - columns[k].minCoeff();
    Vector part = weights[static_cast<Index>(k)] * (columns[k].array() - columns[k].minCoeff()) / (range > 0 ? range : 1);
    greatest = greatest.cwiseMax(part);
    sum += part;
  }
  return warp(greatest + augmentation * sum);
}

}  // namespace trireme
