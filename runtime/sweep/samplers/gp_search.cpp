#include "sweep/samplers/gp_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "sweep/samplers/box_minimum.h"
#include "sweep/samplers/normal.h"

namespace trireme {

namespace {

using Vector = Eigen::VectorXd;
using Eigen::Index;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr Index even_candidates = 2048;
constexpr int near_candidates = 64;  // of each point of `near`
constexpr size_t starts = 12;        // of local searches
constexpr int rounds = 4;            // of a local search through all parameters
constexpr int64_t few_values = 16;   // all of which are tried

struct Candidate {
  Vector latent;
  double value = -infinity;
};

class Search {
 public:
  Search(const LatentSpace& space, const LogImprovement& acquisition,
         const std::function<bool(const Point&)>& welcome)
      : space_(space), acquisition_(acquisition), welcome_(welcome) {}

  // All of the latent vectors that are welcome, with their values, best first.
  std::vector<Candidate> evaluate(const std::vector<Vector>& latents) const {
    std::vector<Candidate> candidates;
    std::vector<Vector> inputs;
    for (const Vector& latent : latents) {
      Point point = space_.point(latent);
      if (!welcome_(point)) continue;
      candidates.push_back({latent});
      inputs.push_back(space_.inputs(point));
    }
    if (candidates.empty()) return candidates;
    Eigen::MatrixXd points(static_cast<Index>(inputs.size()), inputs[0].size());
    for (size_t i = 0; i < inputs.size(); ++i) points.row(static_cast<Index>(i)) = inputs[i];
    Vector values = acquisition_.many(points);
    for (size_t i = 0; i < candidates.size(); ++i) candidates[i].value = values[static_cast<Index>(i)];
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Candidate& a, const Candidate& b) { return a.value > b.value; });
    return candidates;
  }

  void climb(Candidate& candidate) const {
    for (int round = 0; round < rounds; ++round) {
      climb_continuous(candidate);
      if (!climb_discrete(candidate)) return;
    }
  }

 private:
  // Coordinates are measured in length scales, in which the acquisition is about as steep along each.
  void climb_continuous(Candidate& candidate) const {
    Point from = space_.point(candidate.latent);
    std::vector<Index> free;
    for (size_t i = 0; i < from.size(); ++i) {
      if (space_.axis(i).is_continuous() && !std::isnan(from[i])) free.push_back(static_cast<Index>(i));
    }
    if (free.empty()) return;
    Vector scales = acquisition_.posterior().parameters().weights(free).cwiseSqrt().cwiseMax(1e-3);
    Vector latent = candidate.latent;
    auto descend = [&](const Vector& x, Vector& gradient) {
      latent(free) = x.cwiseQuotient(scales);
      Point point = space_.point(latent);
      if (!welcome_(point)) return infinity;
      Vector all;
      double value = acquisition_(space_.inputs(point), all);
      gradient = -all(free).cwiseQuotient(scales);
      return -value;
    };
    BoxMinimum found =
        minimize_in_box(descend, candidate.latent(free).cwiseProduct(scales), Vector::Zero(scales.size()),
                        scales, {.evaluations = 80, .gradient_tolerance = 1e-4, .value_tolerance = 1e-7});
    if (-found.value > candidate.value) {
      candidate.value = -found.value;
      candidate.latent(free) = found.at.cwiseQuotient(scales);
    }
  }

  // Each discrete parameter once, to its best value: whether anything has changed.
  bool climb_discrete(Candidate& candidate) const {
    bool changed = false;
    for (size_t i = 0; i < space_.space().size(); ++i) {
      const Axis& axis = space_.axis(i);
      if (axis.is_continuous() || axis.count() < 2) continue;
      std::vector<Vector> moves = moves_of(candidate.latent, i);
      if (moves.empty()) continue;
      std::vector<Candidate> found = evaluate(moves);
      if (found.empty() || !(found[0].value > candidate.value + 1e-9)) continue;
      candidate = std::move(found[0]);
      changed = true;
    }
    return changed;
  }

  // To each other value of a parameter that has few; to values 1, 2, 4, 8 ... steps away otherwise.
  std::vector<Vector> moves_of(const Vector& latent, size_t i) const {
    std::vector<Vector> moves;
    Point from = space_.point(latent);
    if (std::isnan(from[i])) return moves;
    const Parameter& parameter = space_.space()[i];
    double step = parameter.step > 0 ? parameter.step : 1;
    auto here = static_cast<int64_t>(std::round((from[i] - parameter.low) / step)),
         count = space_.axis(i).count();
    auto add = [&](int64_t value) {
      if (value < 0 || value >= count || value == here) return;
      Vector moved = latent;
      moved[static_cast<Index>(i)] =
          space_.axis(i).position(parameter.low + step * static_cast<double>(value));
      moves.push_back(std::move(moved));
    };
    if (count <= few_values) {
      for (int64_t value = 0; value < count; ++value) add(value);
    } else {
      for (int64_t away = 1; away < count; away *= 2) {
        add(here - away);
        add(here + away);
      }
    }
    return moves;
  }

  const LatentSpace& space_;
  const LogImprovement& acquisition_;
  const std::function<bool(const Point&)>& welcome_;
};

// Near a point: some of its coordinates moved, by little or by much.
Vector moved(const Vector& latent, RandomStream& random) {
  Vector moved = latent;
  double share = std::min(1.0, 3.0 / static_cast<double>(latent.size()));
  double deviation = 0.3 * std::pow(0.01, uniform_double(random));
  for (double& one : moved) {
    if (uniform_double(random) < share) one = draw_truncated_normal(random, one, deviation, 0, 1);
  }
  return moved;
}

}  // namespace

std::optional<Point> find_best_point(const LatentSpace& space, const LogImprovement& acquisition,
                                     const std::vector<Vector>& near, RandomStream& random,
                                     const std::function<bool(const Point&)>& welcome) {
  Search search(space, acquisition, welcome);
  std::vector<Vector> latents;
  Eigen::MatrixXd even = even_points(random, static_cast<Index>(space.space().size()), 0, even_candidates);
  for (Index i = 0; i < even.rows(); ++i) latents.push_back(even.row(i));
  for (const Vector& point : near) {
    for (int i = 0; i < near_candidates; ++i) latents.push_back(moved(point, random));
  }
  std::vector<Candidate> candidates = search.evaluate(latents);
  if (candidates.empty()) return std::nullopt;
  // The best, and others drawn by their expected improvement beside the best's, so that not all lie on one
  // hill.
  std::vector<Candidate> chosen{candidates[0]};
  std::vector<double> shares;
  for (const Candidate& one : candidates) shares.push_back(std::exp(one.value - candidates[0].value));
  shares[0] = 0;
  while (chosen.size() < starts) {
    double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
    if (!(sum > 0)) break;
    double left = uniform_double(random) * sum;
    size_t pick = 0;
    while (pick + 1 < shares.size() && (left -= shares[pick]) > 0) ++pick;
    chosen.push_back(candidates[pick]);
    shares[pick] = 0;
  }
  for (Candidate& one : chosen) search.climb(one);
  auto best = std::max_element(chosen.begin(), chosen.end(),
                               [](const Candidate& a, const Candidate& b) { return a.value < b.value; });
  return space.point(best->latent);
}

}  // namespace trireme
