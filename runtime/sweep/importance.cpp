#include "sweep/importance.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "sweep/forest.h"

namespace trireme {
namespace {

constexpr size_t fewest_trials = 4;

// Scores beyond the third quartile by more than five times the spread of the middle half count as lying
// there: a single trial that has diverged would else be the whole variance, and what sets it apart from the
// next one that diverged the only thing of importance.
void draw_in_outliers(std::vector<double>& scores) {
  std::vector<double> sorted = scores;
  std::sort(sorted.begin(), sorted.end());
  auto quantile = [&sorted](double part) {
    double place = part * static_cast<double>(sorted.size() - 1);
    auto below = static_cast<size_t>(place);
    size_t above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
  };
  double first = quantile(0.25), third = quantile(0.75);
  if (!(third > first)) return;
  double fence = third + 5 * (third - first);
  for (double& score : scores) score = std::min(score, fence);
}

// The ends of the cells of a number that takes few values: to_unit() gives their middles. So many that a cell
// is next to nothing count as a continuum.
std::vector<double> ends_of(const Space& space, size_t i) {
  int64_t count = space[i].count();
  if (count == 0 || count > 1024) return {};
  std::vector<double> ends{0};
  for (int64_t k = 0; k < count; ++k) {
    ends.push_back(2 * space.to_unit(i, space[i].value_at(k)) - ends.back());
  }
  ends.back() = 1;
  return ends;
}

// What the forest sees of the trials. Places of inputs that a trial has not (nan in its point) are kept as
// nan.
ForestData data_of(const Space& space, const History& history, size_t objective) {
  ForestData data;
  for (const Parameter& parameter : space.parameters()) {
    bool choice = parameter.kind == ParameterKind::choice;
    data.inputs.push_back({.categories = choice ? static_cast<int>(parameter.choices.size()) : 0,
                           .ends = choice ? std::vector<double>{} : ends_of(space, data.inputs.size())});
  }
  for (const Trial& trial : history.trials()) {
    if (!trial.is_over() || trial.point.size() != space.size() || objective >= trial.scores.size()) continue;
    if (!std::isfinite(trial.scores[objective])) continue;
    std::vector<double> unit = space.to_unit(trial.point);
    for (size_t i = 0; i < space.size(); ++i) {
      data.values.push_back(data.inputs[i].categories > 0 ? trial.point[i] : unit[i]);
    }
    data.targets.push_back(trial.scores[objective]);
  }
  if (data.rows() < fewest_trials) return data;
  draw_in_outliers(data.targets);
  double mean = 0;
  for (double target : data.targets) mean += target / static_cast<double>(data.rows());
  for (double& target : data.targets) target -= mean;
  return data;
}

// A parameter that is not active changes nothing, whatever it were: each tree sees a value drawn from all
// that it might be. A fixed one (the middle of its range, say) would tell the tree which branch of the space
// the trial is of, and take the importance of whatever decides that.
void fill_in(const Space& space, ForestData& data, RandomStream& random) {
  for (size_t row = 0; row < data.rows(); ++row) {
    for (size_t i = 0; i < data.inputs.size(); ++i) {
      double& value = data.values[row * data.inputs.size() + i];
      if (!std::isnan(value)) continue;
      double drawn = space.from_unit(i, random.uniform());
      value = data.inputs[i].categories > 0 ? drawn : space.to_unit(i, drawn);
    }
  }
}

// Singles, then pairs, each as a part of the tree's variance. All 0 where the tree is one leaf.
std::vector<double> shares_of_tree(const Space& space, const ForestData& data,
                                   const ImportanceOptions& options, uint64_t tree) {
  RandomStream random(options.seed, Purpose::sweep, tree, 0xF04E57);
  ForestData filled = data;
  fill_in(space, filled, random);
  TreeVariance variance = variance_of(data.inputs, grow_tree(filled, {}, random), options.pairs);
  std::vector<double> shares = variance.singles;
  shares.insert(shares.end(), variance.pairs.begin(), variance.pairs.end());
  for (double& share : shares) share = variance.total > 0 ? share / variance.total : 0.0;
  return shares;
}

std::vector<std::string> names_of(const Space& space, bool pairs) {
  std::vector<std::string> names;
  for (const Parameter& parameter : space.parameters()) names.push_back(parameter.key);
  for (size_t i = 0; pairs && i < space.size(); ++i) {
    for (size_t j = i + 1; j < space.size(); ++j) names.push_back(space[i].key + " x " + space[j].key);
  }
  return names;
}

}  // namespace

// Tree t is grown by rank t mod ranks, its draws are keyed by (seed, t), and a tree's shares come to the
// others by a sum with zeros, which is exact; means are then taken over trees in their order by everybody.
// On the wire: one all_reduce of trees * (n + n (n - 1) / 2) doubles.
std::vector<Importance> importance_of(const Space& space, const History& history,
                                      const ImportanceOptions& options, Communicator& communicator) {
  ForestData data = data_of(space, history, static_cast<size_t>(options.objective));
  if (data.rows() < fewest_trials || space.size() == 0 || options.trees < 1) return {};
  std::vector<std::string> names = names_of(space, options.pairs);
  auto trees = static_cast<size_t>(options.trees);
  std::vector<double> shares(trees * names.size(), 0.0);
  auto ranks = static_cast<size_t>(communicator.size());
  for (size_t tree = static_cast<size_t>(communicator.rank()); tree < trees; tree += ranks) {
    std::vector<double> of_tree = shares_of_tree(space, data, options, tree);
    std::copy(of_tree.begin(), of_tree.end(),
              shares.begin() + static_cast<std::ptrdiff_t>(tree * names.size()));
  }
  communicator.all_reduce(shares.data(), shares.size(), DType::float64, ReduceOp::sum);
  std::vector<Importance> importances;
  for (size_t i = 0; i < names.size(); ++i) {
    double sum = 0, squares = 0;
    for (size_t tree = 0; tree < trees; ++tree) sum += shares[tree * names.size() + i];
    double mean = sum / static_cast<double>(trees);
    for (size_t tree = 0; tree < trees; ++tree) {
      double off = shares[tree * names.size() + i] - mean;
      squares += off * off;
    }
    importances.push_back(
        {.name = names[i], .share = mean, .deviation = std::sqrt(squares / static_cast<double>(trees))});
  }
  auto falling = [](const Importance& a, const Importance& b) { return a.share > b.share; };
  auto pairs = importances.begin() + static_cast<std::ptrdiff_t>(space.size());
  std::stable_sort(importances.begin(), pairs, falling);
  std::stable_sort(pairs, importances.end(), falling);
  return importances;
}

}  // namespace trireme
