#include "sweep/samplers/observations.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace trireme {

namespace {

using Kind = Observation::Kind;
constexpr double infinity = std::numeric_limits<double>::infinity();

bool all_finite(const std::vector<double>& scores) {
  return std::all_of(scores.begin(), scores.end(), [](double s) { return std::isfinite(s); });
}

// The front that each of `members` is in, from 0.
std::vector<int> front_ranks(const std::vector<Observation>& observations, const std::vector<size_t>& members) {
  std::vector<int> ranks(members.size(), -1);
  size_t left = members.size();
  for (int rank = 0; left > 0; ++rank) {
    std::vector<size_t> front;
    for (size_t i = 0; i < members.size(); ++i) {
      if (ranks[i] >= 0) continue;
      bool beaten = false;
      for (size_t j = 0; j < members.size() && !beaten; ++j) {
        beaten = ranks[j] < 0 && dominates(observations[members[j]].scores, observations[members[i]].scores);
      }
      if (!beaten) front.push_back(i);
    }
    for (size_t i : front) ranks[i] = rank;
    left -= front.size();
  }
  return ranks;
}

// Of each member of one front: the sum over objectives of how far apart its neighbours are; the ends' is infinite.
std::vector<double> crowding_distances(const std::vector<Observation>& observations, const std::vector<size_t>& front) {
  std::vector<double> distances(front.size(), 0);
  size_t objectives = observations[front[0]].scores.size();
  std::vector<size_t> order(front.size());
  for (size_t k = 0; k < objectives; ++k) {
    auto score = [&](size_t i) { return observations[front[i]].scores[k]; };
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return score(a) < score(b); });
    double range = score(order.back()) - score(order.front());
    distances[order.front()] = distances[order.back()] = infinity;
    if (!(range > 0)) continue;
    for (size_t i = 1; i + 1 < order.size(); ++i) {
      distances[order[i]] += (score(order[i + 1]) - score(order[i - 1])) / range;
    }
  }
  return distances;
}

// Best first, of several objectives.
void sort_by_fronts(const std::vector<Observation>& observations, std::vector<size_t>& members) {
  std::vector<int> ranks = front_ranks(observations, members);
  std::map<int, std::vector<size_t>> fronts;
  for (size_t i = 0; i < members.size(); ++i) fronts[ranks[i]].push_back(members[i]);
  members.clear();
  for (auto& [rank, front] : fronts) {
    std::vector<double> distances = crowding_distances(observations, front);
    std::vector<size_t> order(front.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return distances[a] > distances[b]; });
    for (size_t i : order) members.push_back(front[i]);
  }
}

double score_at(const Trial& trial, int64_t epoch, size_t objective, bool at_best) {
  double score = std::numeric_limits<double>::quiet_NaN();
  for (const TrialReport& report : trial.reports) {
    if (report.epoch > epoch) break;
    double next = report.scores[objective];
    score = at_best && !std::isnan(score) ? std::min(score, next) : next;
  }
  return score;
}

double median(std::vector<double> values) {
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

std::vector<Observation> observe(const History& history, int64_t number) {
  std::vector<Observation> observations;
  for (const Trial& trial : history.trials()) {
    if (trial.number == number || trial.point.empty()) continue;
    Observation seen{.trial = trial.number, .epochs = trial.epochs(), .point = trial.point, .scores = trial.scores};
    bool good = !trial.scores.empty() && all_finite(trial.scores);
    switch (trial.state) {
      case TrialState::waiting:
      case TrialState::running:
        seen.kind = Kind::pending;
        break;
      case TrialState::paused:
        seen.kind = trial.scores.empty() ? Kind::pending : good ? Kind::partial : Kind::failed;
        break;
      case TrialState::stopped:
        if (trial.scores.empty()) continue;
        seen.kind = good ? Kind::partial : Kind::failed;
        break;
      case TrialState::finished:
        seen.kind = good ? Kind::finished : Kind::failed;
        break;
      case TrialState::failed:
        seen.kind = Kind::failed;
        break;
    }
    if (seen.kind == Kind::failed || seen.kind == Kind::pending) seen.scores.clear();
    observations.push_back(std::move(seen));
  }
  return observations;
}

int64_t count_ended(const std::vector<Observation>& observations) {
  return std::count_if(observations.begin(), observations.end(),
                       [](const Observation& one) { return one.kind != Kind::pending; });
}

std::vector<size_t> best_first(const std::vector<Observation>& observations) {
  std::vector<size_t> finished, partial;
  for (size_t i = 0; i < observations.size(); ++i) {
    if (observations[i].kind == Kind::finished) finished.push_back(i);
    if (observations[i].kind == Kind::partial) partial.push_back(i);
  }
  auto objectives = [&](const std::vector<size_t>& members) {
    return members.empty() ? 0 : observations[members[0]].scores.size();
  };
  auto by_score = [&](size_t a, size_t b) { return observations[a].scores[0] < observations[b].scores[0]; };
  if (objectives(finished) > 1) sort_by_fronts(observations, finished);
  if (objectives(finished) == 1) std::stable_sort(finished.begin(), finished.end(), by_score);
  if (objectives(partial) > 1) sort_by_fronts(observations, partial);
  if (objectives(partial) == 1) std::stable_sort(partial.begin(), partial.end(), by_score);
  std::stable_sort(partial.begin(), partial.end(),
                   [&](size_t a, size_t b) { return observations[a].epochs > observations[b].epochs; });
  finished.insert(finished.end(), partial.begin(), partial.end());
  return finished;
}

std::vector<double> expected_scores(const History& history, const std::vector<Observation>& observations,
                                    size_t objective, bool at_best) {
  std::map<int64_t, double> gains;  // by the epoch that a trial was left at
  std::vector<double> scores;
  for (const Observation& seen : observations) {
    if (seen.scores.empty()) {
      scores.push_back(std::numeric_limits<double>::quiet_NaN());
      continue;
    }
    double score = seen.scores[objective];
    if (seen.kind == Kind::partial) {
      auto [gain, is_new] = gains.try_emplace(seen.epochs, 0);
      if (is_new) {
        std::vector<double> all;
        for (const Observation& other : observations) {
          if (other.scores.empty() || other.epochs <= seen.epochs) continue;
          double then = score_at(history.trial(other.trial), seen.epochs, objective, at_best);
          if (std::isfinite(then)) all.push_back(other.scores[objective] - then);
        }
        if (!all.empty()) gain->second = median(std::move(all));
      }
      score += gain->second;
    }
    scores.push_back(score);
  }
  return scores;
}

}  // namespace trireme
