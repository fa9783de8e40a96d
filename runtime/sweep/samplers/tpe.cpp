// The tree-structured Parzen estimator (Bergstra et al., "Algorithms for hyper-parameter optimization",
// NeurIPS 2011), multivariate (Falkner et al., "BOHB", ICML 2018; Watanabe, "Tree-structured Parzen
// estimator: understanding its algorithm components", 2023):
//   1. trials are split into the good part and the rest, best first; trials that still run belong to the
//   rest, so that
//      what is being tried is not tried again (the constant liar of Optuna's constant_liar);
//   2. of both parts a density of points is made, of the good part the better ones weighing more (by how far
//   they are
//      below the best of the rest: Watanabe's "EI" weights); candidates are drawn from the good part's;
//   3. the candidate is taken whose density among the good is highest beside that among the rest.
// The first points, until there is something to learn from, fill the space evenly (Sobol's sequence).
// Parameters that have the same condition form a group with densities of its own, from the trials in which it
// was active: first those without a condition, then those that these make active.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "sweep/samplers/latent.h"
#include "sweep/samplers/observations.h"
#include "sweep/samplers/parzen.h"
#include "sweep/samplers/points.h"
#include "sweep/samplers/samplers.h"

namespace trireme {
namespace {

class TpeSampler : public Sampler {
 public:
  TpeSampler(const SweepConfig& config, const Space& space)
      : settings_(config.tpe),
        seed_(static_cast<uint64_t>(config.sweep.seed)),
        objectives_(config.objectives.size()),
        space_(space),
        latent_(space),
        axes_(axes_of(space)) {
    for (size_t i = 0; i < space.size(); ++i) {
      auto same = std::find_if(groups_.begin(), groups_.end(), [&](const std::vector<size_t>& group) {
        return condition(group.front()) == condition(i);
      });
      if (same == groups_.end()) {
        groups_.push_back({i});
      } else {
        same->push_back(i);
      }
    }
  }

  std::optional<Suggestion> suggest(const History& history, int64_t number) override {
    RandomStream random(seed_, Purpose::sweep, static_cast<uint64_t>(number));
    std::vector<Observation> observations = observe(history, number);
    if (count_ended(observations) < settings_.startup_trials) {
      return Suggestion{untried_point(space_, history, random, 4, [&, next = 0]() mutable {
        return next++ == 0 ? even_point(latent_, seed_, number) : space_.draw(random);
      })};
    }
    std::vector<bool> good = choose_good(observations);
    return Suggestion{untried_point(space_, history, random, attempts,
                                    [&] { return compose(observations, good, random); })};
  }

 private:
  static constexpr int attempts = 16;

  std::string condition(size_t parameter) const {
    return space_[parameter].when ? space_[parameter].when->text() : std::string();
  }

  // Which of the observations are the good part.
  std::vector<bool> choose_good(const std::vector<Observation>& observations) const {
    std::vector<size_t> order = best_first(observations);
    double n = static_cast<double>(order.size());
    double count = settings_.gamma > 0 ? std::ceil(settings_.gamma * n)
                   : objectives_ > 1   ? std::ceil(0.1 * n)
                                       : std::min(std::ceil(0.1 * n), 25.0);
    std::vector<bool> good(observations.size(), false);
    for (size_t i = 0; i < order.size() && static_cast<double>(i) < count; ++i) good[order[i]] = true;
    return good;
  }

  // A point, group by group: settled, not always allowed.
  Point compose(const std::vector<Observation>& observations, const std::vector<bool>& good,
                RandomStream& random) const {
    Point point(space_.size(), std::numeric_limits<double>::quiet_NaN());
    for (const std::vector<size_t>& group : groups_) {
      if (space_.is_active(group.front(), point)) fill(group, observations, good, random, point);
    }
    space_.settle(point);
    return point;
  }

  // Gives the group's parameters their values: of the candidates that no constraint of what is known so far
  // forbids.
  void fill(const std::vector<size_t>& group, const std::vector<Observation>& observations,
            const std::vector<bool>& good, RandomStream& random, Point& point) const {
    ParzenMixture among_good = density(group, observations, good, true);
    ParzenMixture among_rest = density(group, observations, good, false);
    double greatest = -std::numeric_limits<double>::infinity();
    Point best = point;
    int64_t tries = settings_.candidates * attempts;
    for (int64_t found = 0; found < settings_.candidates && tries > 0; --tries) {
      std::vector<double> values = among_good.draw(random);
      Point candidate = point;
      for (size_t j = 0; j < group.size(); ++j) candidate[group[j]] = values[j];
      bool allowed = space_.allows(candidate);
      if (found == 0 && tries == settings_.candidates * attempts) best = candidate;  // if all are forbidden
      if (!allowed) continue;
      ++found;
      double ratio = among_good.log_density(values) - among_rest.log_density(values);
      if (ratio > greatest) {
        greatest = ratio;
        best = std::move(candidate);
      }
    }
    point = std::move(best);
  }

  ParzenMixture density(const std::vector<size_t>& group, const std::vector<Observation>& observations,
                        const std::vector<bool>& good, bool of_good) const {
    std::vector<Axis> axes;
    for (size_t i : group) axes.push_back(axes_[i]);
    std::vector<std::vector<double>> rows;
    std::vector<double> gains;
    double bar = of_good ? best_of_rest(observations, good) : 0;
    for (size_t k = 0; k < observations.size(); ++k) {
      if (good[k] != of_good) continue;
      std::vector<double> row;
      for (size_t i : group) row.push_back(observations[k].point[i]);
      if (std::any_of(row.begin(), row.end(), [](double v) { return std::isnan(v); })) continue;
      rows.push_back(std::move(row));
      if (of_good) gains.push_back(std::max(bar - observations[k].scores[0], 0.0));
    }
    bool by_gain = of_good && objectives_ == 1 && std::isfinite(bar);
    return ParzenMixture(axes, rows, by_gain ? gain_weights(gains) : recency_weights(rows.size()),
                         {.prior_weight = settings_.prior_weight});
  }

  // The lowest score that is not of the good part; infinite where there is none.
  static double best_of_rest(const std::vector<Observation>& observations, const std::vector<bool>& good) {
    double best = std::numeric_limits<double>::infinity();
    for (size_t k = 0; k < observations.size(); ++k) {
      if (!good[k] && !observations[k].scores.empty()) best = std::min(best, observations[k].scores[0]);
    }
    return best;
  }

  // In proportion to the gains, 1 on average, so that the prior keeps its share; none is quite without a
  // weight.
  static std::vector<double> gain_weights(std::vector<double> gains) {
    double sum = std::accumulate(gains.begin(), gains.end(), 0.0), n = static_cast<double>(gains.size());
    for (double& gain : gains) gain = sum > 0 ? 0.99 * n * gain / sum + 0.01 : 1;
    return gains;
  }

  // 1 for the newest 25, and less for the others the older they are (Bergstra et al. 2013).
  static std::vector<double> recency_weights(size_t count) {
    constexpr size_t newest = 25;
    std::vector<double> weights(count, 1);
    if (count <= newest + 1) return weights;
    double n = static_cast<double>(count), old = static_cast<double>(count - newest);
    for (size_t k = 0; k + newest < count; ++k) {
      weights[k] = 1 / n + (1 - 1 / n) * static_cast<double>(k) / (old - 1);
    }
    return weights;
  }

  TpeConfig settings_;
  uint64_t seed_;
  size_t objectives_;
  const Space& space_;
  LatentSpace latent_;
  std::vector<Axis> axes_;
  std::vector<std::vector<size_t>> groups_;
};

}  // namespace

std::unique_ptr<Sampler> make_tpe_sampler(const SweepConfig& config, const Space& space) {
  return std::make_unique<TpeSampler>(config, space);
}

}  // namespace trireme
