#include "sweep/samplers/points.h"

#include <algorithm>
#include <cmath>

namespace trireme {

bool is_tried(const History& history, const Point& point) {
  const std::vector<Trial>& trials = history.trials();
  return std::any_of(trials.begin(), trials.end(),
                     [&](const Trial& trial) { return same_point(trial.point, point); });
}

Point untried_point(const Space& space, const History& history, RandomStream& random, int attempts,
                    const std::function<Point()>& make) {
  for (int i = 0; i < attempts; ++i) {
    Point point = make();
    if (space.allows(point) && !is_tried(history, point)) return point;
  }
  return untried_random_point(space, history, random);
}

Point untried_random_point(const Space& space, const History& history, RandomStream& random) {
  constexpr int attempts = 1000;
  Point point;
  for (int i = 0; i < attempts; ++i) {
    point = space.draw(random);
    if (!is_tried(history, point)) break;
  }
  return point;
}

std::vector<int64_t> ended_trials(const History& history) {
  std::vector<int64_t> numbers;
  for (const Trial& trial : history.trials()) {
    if (!trial.point.empty() && trial.ended_at >= 0) numbers.push_back(trial.number);
  }
  std::stable_sort(numbers.begin(), numbers.end(), [&](int64_t a, int64_t b) {
    return history.trial(a).ended_at < history.trial(b).ended_at;
  });
  return numbers;
}

bool has_result(const Trial& trial) {
  return trial.state != TrialState::failed && !trial.scores.empty() &&
         std::ranges::all_of(trial.scores, [](double score) { return std::isfinite(score); });
}

std::vector<int64_t> front_ranks(const std::vector<const Trial*>& trials) {
  std::vector<int64_t> ranks(trials.size(), -1);
  std::vector<size_t> left;
  for (size_t i = 0; i < trials.size(); ++i) {
    if (has_result(*trials[i])) left.push_back(i);
  }
  int64_t rank = 0;
  if (!left.empty() && trials[left[0]]->scores.size() == 1) {
    auto score = [&](size_t i) { return trials[i]->scores[0]; };
    std::sort(left.begin(), left.end(), [&](size_t a, size_t b) { return score(a) < score(b); });
    for (size_t k = 0; k < left.size(); ++k) {
      rank += k > 0 && score(left[k - 1]) < score(left[k]);
      ranks[left[k]] = rank;
    }
    left.clear();
    ++rank;
  }
  for (; !left.empty(); ++rank) {
    std::vector<size_t> dominated;
    for (size_t i : left) {
      bool is_dominated = std::any_of(left.begin(), left.end(), [&](size_t j) {
        return dominates(trials[j]->scores, trials[i]->scores);
      });
      if (is_dominated) {
        dominated.push_back(i);
      } else {
        ranks[i] = rank;
      }
    }
    left = std::move(dominated);
  }
  for (int64_t& one : ranks) one = one < 0 ? rank : one;
  return ranks;
}

}  // namespace trireme
