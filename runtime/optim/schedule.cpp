#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace trireme {
namespace {

// From `from` at fraction 0 to `to` at fraction 1 along half a cosine.
double anneal(double from, double to, double fraction) {
  return to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * std::clamp(fraction, 0.0, 1.0)));
}

double step_rate(int64_t epoch, double base, const ScheduleConfig& schedule) {
  int64_t passed = 0;
  for (int64_t boundary : schedule.step_epochs) passed += boundary <= epoch ? 1 : 0;
  if (schedule.step_every_epochs > 0) passed = epoch / schedule.step_every_epochs;
  return base * std::pow(schedule.gamma, static_cast<double>(passed));
}

double cosine_rate(int64_t step, int64_t last, double base, const ScheduleConfig& schedule) {
  int64_t start = std::min(schedule.warmup_steps, last);
  if (step <= start) return base;
  double fraction = static_cast<double>(step - start) / static_cast<double>(last - start);
  return anneal(base, base * schedule.final_fraction, fraction);
}

double one_cycle_rate(int64_t step, int64_t last, double base, const ScheduleConfig& schedule) {
  double first = base / schedule.initial_divisor;
  double final = first / schedule.final_divisor;
  double peak = std::max(0.0, schedule.peak_fraction * static_cast<double>(last + 1) - 1);
  double at = static_cast<double>(step);
  if (at < peak) return anneal(first, base, at / peak);
  double rest = static_cast<double>(last) - peak;
  return rest > 0 ? anneal(base, final, (at - peak) / rest) : base;
}

}  // namespace

double learning_rate_at(int64_t step, const RunLength& length, double base, const ScheduleConfig& schedule) {
  int64_t last = std::max<int64_t>(length.total_steps, 1) - 1;
  step = std::clamp<int64_t>(step, 0, last);
  double rate = base;
  if (schedule.kind == "step") {
    rate = step_rate(step / std::max<int64_t>(length.steps_per_epoch, 1), base, schedule);
  } else if (schedule.kind == "cosine") {
    rate = cosine_rate(step, last, base, schedule);
  } else if (schedule.kind == "one_cycle") {
    rate = one_cycle_rate(step, last, base, schedule);
  } else if (schedule.kind != "constant") {
    throw ConfigError("schedule.kind = \"{}\": no such schedule", schedule.kind);
  }
  if (schedule.warmup_steps > 0 && step < schedule.warmup_steps) {
    rate *= static_cast<double>(step + 1) / static_cast<double>(schedule.warmup_steps + 1);
  }
  return rate;
}

}  // namespace trireme
