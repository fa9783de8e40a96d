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

// Weights that sum to 1, uniform over all such.
Vector draw_weights(size_t count, RandomStream& random) {
  Vector weights(static_cast<Index>(count));
  for (double& weight : weights) weight = -std::log(uniform_double(random));
  return weights / weights.sum();
}

}  // namespace

Vector gp_targets(const History& history, const std::vector<Observation>& observations, bool at_best,
                  RandomStream& random) {
  size_t objectives = 0;
  for (const Observation& one : observations) objectives = std::max(objectives, one.scores.size());
  std::vector<Vector> columns;
  for (size_t k = 0; k < objectives; ++k) {
    std::vector<double> scores = expected_scores(history, observations, k, at_best);
    std::erase_if(scores, [](double score) { return std::isnan(score); });
    columns.push_back(Eigen::Map<Vector>(scores.data(), static_cast<Index>(scores.size())));
  }
  if (objectives == 1) return columns[0];
  Vector weights = draw_weights(objectives, random);
  Vector greatest = Vector::Constant(columns[0].size(), -std::numeric_limits<double>::infinity());
  Vector sum = Vector::Zero(columns[0].size());
  for (size_t k = 0; k < objectives; ++k) {
    double range = columns[k].maxCoeff() - columns[k].minCoeff();
    Vector part = weights[static_cast<Index>(k)] * (columns[k].array() - columns[k].minCoeff()) /
                  (range > 0 ? range : 1);
    greatest = greatest.cwiseMax(part);
    sum += part;
  }
  return greatest + augmentation * sum;
}

}  // namespace trireme
