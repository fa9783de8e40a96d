#include "sweep/samplers/parzen.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "sweep/samplers/normal.h"

namespace trireme {

namespace {

const double log_root_two_pi = 0.5 * std::log(2 * M_PI);

// Each position's distance to the farther one of its neighbours, at the ends to the only one.
std::vector<double> neighbour_distances(const std::vector<double>& positions) {
  std::vector<size_t> order(positions.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return positions[a] < positions[b]; });
  std::vector<double> distances(positions.size(), 1);
  if (positions.size() == 1) distances[0] = std::max(positions[0], 1 - positions[0]);
  for (size_t i = 0; positions.size() > 1 && i < order.size(); ++i) {
    double here = positions[order[i]];
    double below = i > 0 ? here - positions[order[i - 1]] : 0;
    double above = i + 1 < order.size() ? positions[order[i + 1]] - here : 0;
    distances[order[i]] = std::max(below, above);
  }
  return distances;
}

// Scott's rule: the spread times n^(-1 / (d + 4)).
double scott_width(const std::vector<double>& positions, size_t dimensions) {
  double n = static_cast<double>(positions.size());
  double mean = std::accumulate(positions.begin(), positions.end(), 0.0) / n, sum = 0;
  for (double p : positions) sum += (p - mean) * (p - mean);
  return std::sqrt(sum / std::max(1.0, n - 1)) * std::pow(n, -1.0 / (static_cast<double>(dimensions) + 4));
}

}  // namespace

ParzenAxis::ParzenAxis(const Axis& axis, const std::vector<double>& values, size_t dimensions,
                       const ParzenSettings& settings)
    : axis_(axis) {
  size_t kernels = values.size() + 1;
  double n = static_cast<double>(kernels);
  if (axis.is_choice()) {
    for (double value : values) chosen_.push_back(static_cast<size_t>(value));
    double choices = static_cast<double>(axis.count());
    double other = settings.choice_weight / n;
    log_other_ = std::log(other / (1 + other * choices));
    log_own_ = std::log((1 + other) / (1 + other * choices));
    return;
  }
  for (double value : values) means_.push_back(axis.position(value));
  double least = settings.least_deviation > 0 ? settings.least_deviation : 1 / std::min(100.0, n + 1);
  if (settings.by_neighbours) {
    deviations_ = neighbour_distances(means_);
  } else {
    deviations_.assign(means_.size(), means_.empty() ? 1 : settings.width_factor * scott_width(means_, dimensions));
  }
  for (double& deviation : deviations_) deviation = std::clamp(deviation, least, 1.0);
  means_.push_back(0.5);
  deviations_.push_back(1);
  for (size_t k = 0; k < kernels; ++k) {
    double mass = log_normal_mass(-means_[k] / deviations_[k], (1 - means_[k]) / deviations_[k]);
    log_norms_.push_back(axis.is_continuous() ? mass + std::log(deviations_[k]) + log_root_two_pi : mass);
  }
}

double ParzenAxis::draw(size_t kernel, RandomStream& random) const {
  if (axis_.is_choice()) {
    auto choices = static_cast<uint32_t>(axis_.count());
    if (kernel >= chosen_.size()) return random.below(choices);
    double more_on_own = std::exp(log_own_) - std::exp(log_other_);
    return uniform_double(random) < more_on_own ? static_cast<double>(chosen_[kernel]) : random.below(choices);
  }
  return axis_.value(draw_truncated_normal(random, means_[kernel], deviations_[kernel], 0, 1));
}

void ParzenAxis::add_log_densities(double value, std::vector<double>& sums) const {
  if (axis_.is_choice()) {
    for (size_t k = 0; k < chosen_.size(); ++k) sums[k] += static_cast<double>(chosen_[k]) == value ? log_own_ : log_other_;
    sums[chosen_.size()] -= std::log(static_cast<double>(axis_.count()));
  } else if (axis_.is_continuous()) {
    double position = axis_.position(value);
    for (size_t k = 0; k < means_.size(); ++k) {
      double z = (position - means_[k]) / deviations_[k];
      sums[k] -= 0.5 * z * z + log_norms_[k];
    }
  } else {
    auto [from, to] = axis_.cell(value);
    for (size_t k = 0; k < means_.size(); ++k) {
      sums[k] += log_normal_mass((from - means_[k]) / deviations_[k], (to - means_[k]) / deviations_[k]) - log_norms_[k];
    }
  }
}

ParzenMixture::ParzenMixture(const std::vector<Axis>& axes, const std::vector<std::vector<double>>& values,
                             const std::vector<double>& weights, const ParzenSettings& settings) {
  for (size_t j = 0; j < axes.size(); ++j) {
    std::vector<double> column;
    for (const std::vector<double>& row : values) column.push_back(row[j]);
    axes_.emplace_back(axes[j], column, axes.size(), settings);
  }
  double prior = values.empty() ? 1 : settings.prior_weight, sum = prior;
  for (double weight : weights) sum += weight;
  double so_far = 0;
  for (size_t k = 0; k <= weights.size(); ++k) {
    double share = (k < weights.size() ? weights[k] : prior) / sum;
    cumulated_.push_back(so_far += share);
    log_weights_.push_back(std::log(share));
  }
}

std::vector<double> ParzenMixture::draw(RandomStream& random) const {
  double where = uniform_double(random) * cumulated_.back();
  auto kernel = static_cast<size_t>(std::lower_bound(cumulated_.begin(), cumulated_.end(), where) - cumulated_.begin());
  std::vector<double> values;
  for (const ParzenAxis& axis : axes_) values.push_back(axis.draw(std::min(kernel, cumulated_.size() - 1), random));
  return values;
}

double ParzenMixture::log_density(const std::vector<double>& values) const {
  std::vector<double> sums = log_weights_;
  for (size_t j = 0; j < axes_.size(); ++j) axes_[j].add_log_densities(values[j], sums);
  double greatest = *std::max_element(sums.begin(), sums.end()), sum = 0;
  if (std::isinf(greatest)) return greatest;
  for (double one : sums) sum += std::exp(one - greatest);
  return greatest + std::log(sum);
}

}  // namespace trireme
