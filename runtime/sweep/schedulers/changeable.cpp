#include "sweep/schedulers/changeable.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/error.h"

namespace trireme {
namespace {

// What a run reads anew at each start, and no tensor of a checkpoint depends on. All else is taken for fixed:
// a key that is new belongs here once somebody has looked at it.
constexpr std::array<std::string_view, 10> optimizer_keys{
    "learning_rate", "momentum",  "nesterov", "weight_decay",      "beta1",
    "beta2",         "smoothing", "epsilon",  "trust_coefficient", "ema_decay"};
constexpr std::array<std::string_view, 18> other_keys{"schedule.kind",
                                                      "schedule.warmup_steps",
                                                      "schedule.step_epochs",
                                                      "schedule.step_every_epochs",
                                                      "schedule.gamma",
                                                      "schedule.final_fraction",
                                                      "schedule.peak_fraction",
                                                      "schedule.initial_divisor",
                                                      "schedule.final_divisor",
                                                      "model.dropout",
                                                      "train.label_smoothing",
                                                      "train.gradient_clip_norm",
                                                      "data.transform.random_crop_padding",
                                                      "data.transform.horizontal_flip",
                                                      "data.transform.vertical_flip",
                                                      "data.transform.rotation_degrees",
                                                      "data.transform.grayscale_probability",
                                                      "data.transform.erase_probability"};

// The key's last part where it is one of an optimizer's; empty for others.
std::string_view optimizer_key(std::string_view key) {
  for (std::string_view table : {"optimizer.discriminator.", "optimizer."}) {
    if (key.starts_with(table)) return key.substr(table.size());
  }
  return {};
}

bool may_change(std::string_view key) {
  std::string_view part = optimizer_key(key);
  return std::ranges::find(optimizer_keys, part) != optimizer_keys.end() ||
         std::ranges::find(other_keys, key) != other_keys.end();
}

// Where 0 means that there is no such slot (of sgd's momentum, of the moving average).
bool has_slot(std::string_view key) {
  std::string_view part = optimizer_key(key);
  return part == "momentum" || part == "ema_decay";
}

bool can_be_zero(const Parameter& parameter) {
  if (parameter.kind != ParameterKind::choice) return parameter.low <= 0;
  return std::ranges::any_of(
      parameter.choices, [](const std::string& choice) { return std::strtod(choice.c_str(), nullptr) == 0; });
}

}  // namespace

void refuse_fixed_keys(const SweepConfig& config, const Space& space) {
  for (const Parameter& parameter : space.parameters()) {
    if (!may_change(parameter.key)) {
      throw ConfigError(
          "{}: [space] {}: sweep.scheduler = \"{}\" hands the state of one trial to another, and this key is "
          "fixed from a run's start on; set it in [sweep.set], or search it with another scheduler (asha)",
          parameter.origin, parameter.key, config.sweep.scheduler);
    }
    if (has_slot(parameter.key) && can_be_zero(parameter)) {
      throw ConfigError(
          "{}: [space] {}: sweep.scheduler = \"{}\" hands the state of one trial to another, and with 0 "
          "there "
          "is no such part of the state; keep all of its values above 0",
          parameter.origin, parameter.key, config.sweep.scheduler);
    }
  }
}

}  // namespace trireme
