// Regularised (aging) evolution: Real, Aggarwal, Huang, Le, "Regularized evolution for image classifier
// architecture search", AAAI 2019. The population is the trials that ended last; of a few of them, drawn at
// random, the best is copied with small changes. Asynchronous as the paper's: a trial joins the population
// when it ends, and the one that joined first leaves it. With several objectives the best is one that no
// other of the drawn ones dominates.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "sweep/samplers/points.h"
#include "sweep/samplers/samplers.h"

namespace trireme {
namespace {

// How far apart the neighbours of each trial in its front are (NSGA-II's crowding distance), over the
// objectives' ranges: infinite at the ends. Among equals, the lonelier one is the better parent.
std::vector<double> crowding_distances(const std::vector<const Trial*>& trials,
                                       const std::vector<int64_t>& ranks, size_t objectives) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> distances(trials.size(), 0);
  for (size_t objective = 0; objective < objectives; ++objective) {
    std::vector<size_t> order;
    for (size_t i = 0; i < trials.size(); ++i) {
      if (has_result(*trials[i])) order.push_back(i);
    }
    auto score = [&](size_t i) { return trials[i]->scores[objective]; };
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return ranks[a] != ranks[b] ? ranks[a] < ranks[b] : score(a) < score(b);
    });
    for (size_t k = 0, front_begin = 0; k < order.size(); ++k) {
      if (ranks[order[k]] != ranks[order[front_begin]]) front_begin = k;
      bool first = k == front_begin;
      bool last = k + 1 == order.size() || ranks[order[k + 1]] != ranks[order[k]];
      if (first || last) {
        distances[order[k]] = infinity;
        continue;
      }
      size_t front_end = k;
      while (front_end + 1 < order.size() && ranks[order[front_end + 1]] == ranks[order[k]]) ++front_end;
      double range = score(order[front_end]) - score(order[front_begin]);
      double gap = score(order[k + 1]) - score(order[k - 1]);
      if (range > 0 && std::isfinite(range)) distances[order[k]] += gap / range;
    }
  }
  return distances;
}

class EvolutionSampler : public Sampler {
 public:
  EvolutionSampler(const SweepConfig& config, const Space& space)
      : settings_(config.evolution), seed_(static_cast<uint64_t>(config.sweep.seed)), space_(space) {
    if (settings_.tournament > settings_.population) {
      throw ConfigError("{}: sweep.evolution.tournament ({}) is more than sweep.evolution.population ({})",
                        config.where("sweep.evolution.tournament"), settings_.tournament,
                        settings_.population);
    }
  }

  std::optional<Suggestion> suggest(const History& history, int64_t number) override {
    RandomStream random(seed_, Purpose::sweep, static_cast<uint64_t>(number));
    int64_t parent = number < settings_.population ? -1 : choose_parent(history, random);
    if (parent < 0) return Suggestion{untried_random_point(space_, history, random)};
    constexpr int attempts = 200;
    const Point& point = history.trial(parent).point;
    return Suggestion{untried_point(space_, history, random, attempts, [&] { return mutate(point, random); }),
                      parent};
  }

 private:
  // The winner of a tournament, or -1 where no trial in it has a result.
  int64_t choose_parent(const History& history, RandomStream& random) const {
    std::vector<int64_t> ended = ended_trials(history);
    auto size = std::min(ended.size(), static_cast<size_t>(settings_.population));
    std::vector<const Trial*> population;
    for (size_t i = ended.size() - size; i < ended.size(); ++i) {
      population.push_back(&history.trial(ended[i]));
    }
    std::vector<int64_t> ranks = front_ranks(population);
    size_t objectives = 0;
    for (const Trial* trial : population) {
      if (has_result(*trial)) objectives = trial->scores.size();
    }
    if (objectives == 0) return -1;
    std::vector<double> distances(population.size(), 0);
    if (objectives > 1) distances = crowding_distances(population, ranks, objectives);

    // The first few of a shuffle: without replacement, in an order that settles what is left equal.
    std::vector<size_t> drawn(population.size());
    std::iota(drawn.begin(), drawn.end(), size_t{0});
    size_t count = std::min(drawn.size(), static_cast<size_t>(settings_.tournament));
    for (size_t i = 0; i < count; ++i) {
      std::swap(drawn[i], drawn[i + random.below(static_cast<uint32_t>(drawn.size() - i))]);
    }
    drawn.resize(count);
    size_t winner = *std::min_element(drawn.begin(), drawn.end(), [&](size_t a, size_t b) {
      return ranks[a] != ranks[b] ? ranks[a] < ranks[b] : distances[a] > distances[b];
    });
    return has_result(*population[winner]) ? population[winner]->number : -1;
  }

  // A copy with at least one parameter changed. What becomes active by that is drawn anew.
  Point mutate(const Point& parent, RandomStream& random) const {
    std::vector<size_t> active;
    for (size_t i = 0; i < parent.size(); ++i) {
      if (!std::isnan(parent[i])) active.push_back(i);
    }
    double probability = settings_.mutation_probability;
    if (probability == 0) probability = 1 / static_cast<double>(std::max<size_t>(active.size(), 1));
    Point fresh = space_.draw(random);
    Point child(parent.size(), std::numeric_limits<double>::quiet_NaN());
    size_t certain = active.empty() ? 0 : active[random.below(static_cast<uint32_t>(active.size()))];
    for (size_t i = 0; i < parent.size(); ++i) {
      bool changes = random.uniform() < probability || i == certain;
      if (!space_.is_active(i, child)) continue;
      if (std::isnan(parent[i])) {
        child[i] = std::isnan(fresh[i]) ? space_.from_unit(i, random.uniform()) : fresh[i];
      } else {
        child[i] = changes ? changed(i, parent[i], random) : parent[i];
      }
    }
    space_.settle(child);
    return child;
  }

  // Another choice; of a number one nearby: the step is normal, and its size is drawn from a wide range,
  // since nobody knows on which scale a parameter matters.
  double changed(size_t i, double value, RandomStream& random) const {
    const Parameter& parameter = space_[i];
    int64_t count = parameter.count();
    if (count == 1) return value;
    if (parameter.kind == ParameterKind::choice) {
      auto other = static_cast<double>(random.below(static_cast<uint32_t>(count - 1)));
      return other < value ? other : other + 1;
    }
    constexpr double largest = 0.3, smallest = 0.003;  // of the range
    constexpr int attempts = 100;  // a small step does not leave an integer's interval; a larger one will
    double unit = space_.to_unit(i, value);
    double result = value;
    for (int attempt = 0; attempt < attempts && result == value; ++attempt) {
      double size = largest * std::pow(smallest / largest, static_cast<double>(random.uniform()));
      double moved = unit + size * random.normal();
      moved = moved < 0 ? -moved : moved > 1 ? 2 - moved : moved;
      result = space_.from_unit(i, moved);
    }
    return result;
  }

  EvolutionConfig settings_;
  uint64_t seed_;
  const Space& space_;
};

}  // namespace

std::unique_ptr<Sampler> make_evolution_sampler(const SweepConfig& config, const Space& space) {
  return std::make_unique<EvolutionSampler>(config, space);
}

}  // namespace trireme
