#include "sweep/schedulers/explore.h"

#include <algorithm>
#include <cmath>

namespace trireme {
namespace {

constexpr int tries = 100;

// The nearest value that the parameter can take.
double possible(const Space& space, size_t i, double value) {
  const Parameter& parameter = space[i];
  value = std::clamp(value, parameter.low, parameter.high);
  return parameter.count() == 0 ? value : space.from_unit(i, space.to_unit(i, value));
}

double perturbed(const Space& space, size_t i, double value, double factor, bool up) {
  const Parameter& parameter = space[i];
  bool is_choice = parameter.kind == ParameterKind::choice;
  double moved = is_choice ? value : possible(space, i, up ? value * factor : value / factor);
  if (parameter.count() == 0 || moved != value) return moved;
  double step = parameter.step > 0 ? parameter.step : 1;
  // The number grows where its size does, if it is below zero the other way round.
  bool rises = up == (value >= 0);
  return possible(space, i, rises ? value + step : value - step);
}

Point explored_once(const Space& space, const PopulationConfig& settings, Point point, RandomStream& random) {
  for (size_t i = 0; i < space.size(); ++i) {
    if (!space.is_active(i, point)) {
      point[i] = std::nan("");
      continue;
    }
    bool anew = random.uniform() < static_cast<float>(settings.resample_probability);
    bool up = (random.next() & 1) != 0;
    double unit = random.uniform();
    if (anew || std::isnan(point[i])) {
      point[i] = space.from_unit(i, unit);
    } else {
      point[i] = perturbed(space, i, point[i], settings.perturb, up);
    }
  }
  space.settle(point);
  return point;
}

}  // namespace

Point explored(const Space& space, const PopulationConfig& settings, const Point& point,
               RandomStream& random) {
  for (int i = 0; i < tries; ++i) {
    Point next = explored_once(space, settings, point, random);
    if (space.allows(next)) return next;
  }
  return point;
}

}  // namespace trireme
