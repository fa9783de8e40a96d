#include "sweep/samplers/box_minimum.h"

#include <algorithm>
#include <cmath>
#include <deque>

namespace trireme {

namespace {

using Vector = Eigen::VectorXd;

struct Pair {
  Vector step, change;  // of the gradient
  double product;
};

constexpr size_t remembered = 8;
constexpr double enough = 1e-4;  // Armijo's part of the gain that the slope promises

// The gradient without the coordinates that lie on an end and would be pushed out of it.
Vector free_gradient(const Vector& x, const Vector& gradient, const Vector& low, const Vector& high) {
  Vector free = gradient;
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    if ((x[i] <= low[i] && gradient[i] > 0) || (x[i] >= high[i] && gradient[i] < 0)) free[i] = 0;
  }
  return free;
}

// Minus the inverse Hessian, as the pairs tell it, times the gradient: among the free coordinates alone.
Vector quasi_newton(const Vector& gradient, const std::deque<Pair>& pairs) {
  Vector q = gradient;
  std::vector<double> alpha(pairs.size());
  auto mask = [&](Vector& v) {
    for (Eigen::Index i = 0; i < v.size(); ++i) {
      if (gradient[i] == 0) v[i] = 0;
    }
  };
  for (size_t k = pairs.size(); k-- > 0;) {
    alpha[k] = pairs[k].step.dot(q) / pairs[k].product;
    q -= alpha[k] * pairs[k].change;
  }
  if (!pairs.empty()) q *= pairs.back().product / pairs.back().change.squaredNorm();
  for (size_t k = 0; k < pairs.size(); ++k) {
    q += (alpha[k] - pairs[k].change.dot(q) / pairs[k].product) * pairs[k].step;
  }
  mask(q);
  return -q;
}

}  // namespace

BoxMinimum minimize_in_box(const SmoothFunction& f, Vector start, const Vector& low, const Vector& high,
                           const BoxSearch& search) {
  BoxMinimum now;
  now.at = start.cwiseMax(low).cwiseMin(high);
  Vector gradient = Vector::Zero(now.at.size()), next_gradient = gradient;
  now.value = f(now.at, gradient);
  now.evaluations = 1;
  if (!std::isfinite(now.value) || !gradient.allFinite()) return now;
  std::deque<Pair> pairs;
  while (now.evaluations < search.evaluations) {
    Vector free = free_gradient(now.at, gradient, low, high);
    if (free.lpNorm<Eigen::Infinity>() < search.gradient_tolerance) break;
    Vector direction = quasi_newton(free, pairs);
    if (!(direction.dot(free) < 0)) {
      pairs.clear();
      direction = -free;
    }
    double length = pairs.empty() ? std::min(1.0, search.first_step / direction.norm()) : 1.0;
    bool moved = false;
    double before = now.value;
    while (now.evaluations < search.evaluations) {
      Vector next = (now.at + length * direction).cwiseMax(low).cwiseMin(high);
      Vector step = next - now.at;
      double value = f(next, next_gradient);
      ++now.evaluations;
      if (std::isfinite(value) && next_gradient.allFinite() && value <= before + enough * gradient.dot(step)) {
        Vector change = next_gradient - gradient;
        double product = step.dot(change);
        if (product > 1e-10 * step.norm() * change.norm()) {
          pairs.push_back({step, change, product});
          if (pairs.size() > remembered) pairs.pop_front();
        }
        now.at = std::move(next);
        now.value = value;
        gradient = next_gradient;
        moved = true;
        break;
      }
      // To where a parabola through both values and the slope is lowest, within reason.
      double slope = gradient.dot(step) / length;
      double guess = std::isfinite(value) ? -slope * length * length / (2 * (value - before - slope * length)) : 0;
      length = std::clamp(std::isfinite(guess) ? guess : 0, 0.1 * length, 0.5 * length);
      if (length < 1e-12) break;
    }
    if (!moved) {
      if (pairs.empty()) break;
      pairs.clear();  // once more, straight down
      continue;
    }
    if (before - now.value < search.value_tolerance * (1 + std::abs(before))) break;
  }
  return now;
}

}  // namespace trireme
