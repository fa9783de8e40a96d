#include "sweep/samplers/axis.h"

#include <algorithm>
#include <cmath>

namespace trireme {

namespace {
// Half a step below the lowest value, or half of it where that would leave the logarithm nothing.
double lower_edge(double value, double step, bool logarithmic) {
  return logarithmic ? std::max(value - step / 2, value / 2) : value - step / 2;
}
}  // namespace

Axis::Axis(const Parameter& parameter)
    : choice_(parameter.kind == ParameterKind::choice),
      logarithmic_(parameter.logarithmic && !choice_),
      count_(parameter.count()),
      low_(parameter.low),
      high_(parameter.high),
      step_(parameter.kind == ParameterKind::real ? parameter.step : std::max(1.0, parameter.step)) {
  if (count_ > 0) high_ = low_ + step_ * static_cast<double>(count_ - 1);
  from_ = scaled(count_ > 0 ? lower_edge(low_, step_, logarithmic_) : low_);
  to_ = scaled(count_ > 0 ? high_ + step_ / 2 : high_);
}

double Axis::scaled(double value) const { return logarithmic_ ? std::log(value) : value; }

double Axis::position(double value) const {
  if (!(to_ > from_)) return 0.5;
  return std::clamp((scaled(value) - from_) / (to_ - from_), 0.0, 1.0);
}

std::pair<double, double> Axis::cell(double value) const {
  double below = value <= low_ ? 0 : position(lower_edge(value, step_, logarithmic_));
  double above = value >= high_ ? 1 : position(value + step_ / 2);
  return {below, above};
}

double Axis::value(double position) const {
  double at = from_ + std::clamp(position, 0.0, 1.0) * (to_ - from_);
  if (logarithmic_) at = std::exp(at);
  if (count_ > 0) at = low_ + step_ * std::round((at - low_) / step_);
  return std::clamp(at, low_, high_);
}

std::vector<Axis> axes_of(const Space& space) {
  std::vector<Axis> axes;
  for (const Parameter& parameter : space.parameters()) axes.emplace_back(parameter);
  return axes;
}

}  // namespace trireme
