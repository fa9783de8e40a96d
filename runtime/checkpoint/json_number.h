// What manifests and records say in JSON. Internal to the room.
#pragma once

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "checkpoint/content.h"

namespace trireme {

// JSON knows neither nan nor infinities: texts say them.
inline nlohmann::ordered_json number_json(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

// And back. Throws nlohmann's exceptions, DataError.
inline double number_of_json(const nlohmann::json& value) {
  if (!value.is_string()) return value.get<double>();
  auto text = value.get<std::string>();
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (text == "inf") return std::numeric_limits<double>::infinity();
  if (text == "-inf") return -std::numeric_limits<double>::infinity();
  throw DataError("'{}' is no number", text);
}

inline nlohmann::ordered_json validation_json(const CheckpointValidation& validation) {
  nlohmann::ordered_json object = {{"step", validation.step}, {"epoch", validation.epoch}};
  for (const auto& [name, value] : validation_figures(validation)) object[name] = number_json(value);
  return object;
}

inline CheckpointValidation validation_of_json(const nlohmann::json& object) {
  CheckpointValidation validation;
  validation.step = object.at("step").get<int64_t>();
  validation.epoch = object.at("epoch").get<int64_t>();
  object.at("loss");
  for (const auto& [name, value] : object.items()) {
    if (name != "step" && name != "epoch") set_validation_figure(validation, name, number_of_json(value));
  }
  return validation;
}

}  // namespace trireme
