// CMA-ES without generations' barriers. Whoever asks gets a draw from the newest distribution; whenever
// lambda trials more have ended, in whatever order, the distribution learns from them. What a trial was
// before it was rounded to values is drawn again, which gives the same; where it does not (the point is
// another's), the middle of its values stands for it. When the steps have become tiny, or a whole generation
// has failed, it begins anew elsewhere, with twice the samples a generation in the first case (Auger and
// Hansen, "A restart CMA evolution strategy with increasing population size", CEC 2005).
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "sweep/samplers/cma_distribution.h"
#include "sweep/samplers/points.h"
#include "sweep/samplers/samplers.h"

namespace trireme {
namespace {

constexpr double kSmallestStep = 1e-6;  // of the range
constexpr uint64_t kRestartStream = uint64_t{1} << 63;

class CmaEsSampler : public Sampler {
 public:
  CmaEsSampler(const SweepConfig& config, const Space& space)
      : settings_(config.cma_es), seed_(static_cast<uint64_t>(config.sweep.seed)), space_(space) {
    if (config.objectives.size() > 1) {
      throw ConfigError(
          "{}: sweep.sampler = \"cma_es\" knows one objective, and there are {}; take \"tpe\" or "
          "\"evolution\"",
          config.where("sweep.sampler"), config.objectives.size());
    }
    if (settings_.population != 0 && settings_.population < 3) {
      throw ConfigError("{}: sweep.cma_es.population is {}; give at least 3, or 0 for 4 + 3 ln(parameters)",
                        config.where("sweep.cma_es.population"), settings_.population);
    }
    for (size_t i = 0; i < space.size(); ++i) {
      if (space[i].kind == ParameterKind::choice) {
        choices_.push_back(i);
        choice_counts_.push_back(space[i].count());
      } else {
        numbers_.push_back(i);
      }
    }
    forget();
  }

  std::optional<Suggestion> suggest(const History& history, int64_t number) override {
    learn(history);
    const CmaDistribution& distribution = generations_.back().distribution;
    constexpr int attempts = 100;
    for (int attempt = 0; attempt < attempts; ++attempt) {
      Point point = point_of(draw(distribution, number, attempt));
      if (space_.allows(point) && !is_tried(history, point)) return Suggestion{point};
    }
    RandomStream random(seed_, Purpose::sweep, static_cast<uint64_t>(number), attempts);
    return Suggestion{untried_random_point(space_, history, random)};
  }

 private:
  struct Generation {
    CmaDistribution distribution;
    int64_t known_from = 0;  // History::records() that a suggestion from it was based on, at least
  };
  // A trial that has been learnt from, as it was then.
  struct Learnt {
    int64_t trial;
    Point point;
    std::vector<double> scores;  // empty: it has come to no result
    CmaSample sample;
  };

  static std::vector<double> scores_of(const Trial& trial) {
    return has_result(trial) ? trial.scores : std::vector<double>();
  }

  void forget() {
    learnt_.clear();
    generations_.clear();
    block_begin_ = 0;
    restarts_ = 0;
    int64_t lambda = settings_.population;
    if (lambda == 0) lambda = 4 + static_cast<int64_t>(3 * std::log(static_cast<double>(space_.size())));
    auto n = static_cast<Eigen::Index>(numbers_.size());
    generations_.push_back(
        {CmaDistribution(Eigen::VectorXd::Constant(n, 0.5), settings_.sigma, lambda, choice_counts_), 0});
  }

  // Takes in what has ended since the last time; from the beginning when what was taken in has changed since
  // (a trial that had paused has gone on, or failed).
  void learn(const History& history) {
    std::vector<int64_t> ended = ended_trials(history);
    bool grown = ended.size() >= learnt_.size();
    for (size_t k = 0; grown && k < learnt_.size(); ++k) {
      const Trial& trial = history.trial(ended[k]);
      grown = trial.number == learnt_[k].trial && scores_of(trial) == learnt_[k].scores &&
              same_point(trial.point, learnt_[k].point);
    }
    if (!grown) forget();
    for (size_t k = learnt_.size(); k < ended.size(); ++k) {
      const Trial& trial = history.trial(ended[k]);
      learnt_.push_back({trial.number, trial.point, scores_of(trial), sample_of(trial)});
      if (static_cast<int64_t>(learnt_.size() - block_begin_) < generations_.back().distribution.lambda()) {
        continue;
      }
      generations_.push_back({next_distribution(), trial.ended_at + 1});
      block_begin_ = learnt_.size();
    }
  }

  CmaDistribution next_distribution() {
    std::vector<const Learnt*> block;
    for (size_t k = block_begin_; k < learnt_.size(); ++k) block.push_back(&learnt_[k]);
    auto is_scored = [](const Learnt* one) { return !one->scores.empty(); };
    auto scored_end = std::stable_partition(block.begin(), block.end(), is_scored);
    std::stable_sort(block.begin(), scored_end,
                     [](const Learnt* a, const Learnt* b) { return a->scores[0] < b->scores[0]; });
    auto scored = static_cast<size_t>(scored_end - block.begin());
    CmaDistribution next = generations_.back().distribution;
    if (scored == 0) return elsewhere(next.lambda());
    std::vector<CmaSample> ranked;
    for (const Learnt* one : block) ranked.push_back(one->sample);
    next.update(ranked, scored);
    std::vector<CmaInterval> intervals;
    for (size_t k = 0; k < numbers_.size(); ++k) {
      intervals.push_back(interval_of(numbers_[k], next.mean()[static_cast<Eigen::Index>(k)]));
    }
    next.keep_margin(intervals);
    return next.is_exhausted(intervals, kSmallestStep) ? elsewhere(2 * next.lambda()) : next;
  }

  CmaDistribution elsewhere(int64_t lambda) {
    RandomStream random(seed_, Purpose::sweep, kRestartStream + static_cast<uint64_t>(++restarts_));
    Eigen::VectorXd mean(static_cast<Eigen::Index>(numbers_.size()));
    for (double& one : mean) one = random.uniform();
    return CmaDistribution(mean, settings_.sigma, lambda, choice_counts_);
  }

  // The draw of which the trial's point was made.
  CmaSample sample_of(const Trial& trial) const {
    auto after = std::upper_bound(generations_.begin(), generations_.end(), trial.based_on,
                                  [](int64_t seen, const Generation& one) { return seen < one.known_from; });
    const CmaDistribution& source = (after - 1)->distribution;
    constexpr int attempts = 16;  // later ones are rare: constraints, points that have been tried
    for (int attempt = 0; attempt < attempts; ++attempt) {
      CmaSample sample = draw(source, trial.number, attempt);
      if (same_point(point_of(sample), trial.point)) return sample;
    }
    // Of what is not active nothing is known: it stays where it is.
    const CmaDistribution& newest = generations_.back().distribution;
    CmaSample sample{newest.mean(), {}};
    for (size_t k = 0; k < numbers_.size(); ++k) {
      double value = trial.point[numbers_[k]];
      if (!std::isnan(value)) sample.x[static_cast<Eigen::Index>(k)] = space_.to_unit(numbers_[k], value);
    }
    for (size_t k = 0; k < choices_.size(); ++k) {
      double value = trial.point[choices_[k]];
      Eigen::Index likeliest = 0;
      newest.probabilities()[k].maxCoeff(&likeliest);
      sample.choices.push_back(std::isnan(value) ? likeliest : static_cast<int64_t>(value));
    }
    return sample;
  }

  CmaSample draw(const CmaDistribution& distribution, int64_t number, int attempt) const {
    RandomStream random(seed_, Purpose::sweep, static_cast<uint64_t>(number), static_cast<uint32_t>(attempt));
    CmaSample sample;
    constexpr int tries = 10;  // before it is put at the end of the range: not all in one place at once
    for (int i = 0; i < tries; ++i) {
      sample = distribution.draw(random);
      if ((sample.x.array() >= 0).all() && (sample.x.array() <= 1).all()) return sample;
    }
    sample.x = sample.x.cwiseMax(0.0).cwiseMin(1.0);
    return sample;
  }

  Point point_of(const CmaSample& sample) const {
    Point point(space_.size(), std::numeric_limits<double>::quiet_NaN());
    for (size_t k = 0; k < choices_.size(); ++k) point[choices_[k]] = static_cast<double>(sample.choices[k]);
    for (size_t k = 0; k < numbers_.size(); ++k) {
      point[numbers_[k]] = space_.from_unit(numbers_[k], sample.x[static_cast<Eigen::Index>(k)]);
    }
    space_.settle(point);
    return point;
  }

  // Where the value at `unit` begins and ends, found by halving: a space says only which value is at a place.
  CmaInterval interval_of(size_t i, double unit) const {
    CmaInterval interval;
    interval.is_discrete = space_[i].count() > 0;
    if (!interval.is_discrete) return interval;
    double value = space_.from_unit(i, unit);
    auto edge_between = [&](double inside, double outside) {
      if (space_.from_unit(i, outside) == value) return std::numeric_limits<double>::quiet_NaN();
      for (int step = 0; step < 60; ++step) {
        double middle = (inside + outside) / 2;
        (space_.from_unit(i, middle) == value ? inside : outside) = middle;
      }
      return outside;
    };
    interval.low = edge_between(unit, 0);
    interval.high = edge_between(unit, 1);
    return interval;
  }

  CmaEsConfig settings_;
  uint64_t seed_;
  const Space& space_;
  std::vector<size_t> numbers_, choices_;  // parameters that are numbers, and choices
  std::vector<int64_t> choice_counts_;
  // What follows from the history as it was last seen.
  std::vector<Learnt> learnt_;  // in the order in which they ended
  std::vector<Generation> generations_;
  size_t block_begin_ = 0;  // of learnt_: from here on not yet learnt from
  int64_t restarts_ = 0;
};

}  // namespace

std::unique_ptr<Sampler> make_cma_es_sampler(const SweepConfig& config, const Space& space) {
  return std::make_unique<CmaEsSampler>(config, space);
}

}  // namespace trireme
