// Values and scores as JSON.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "sweep/space.h"

namespace trireme {

// null for what JSON cannot say: nan and infinity.
inline nlohmann::ordered_json json_number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

// A number, a truth value, a text, or (a list) its TOML text; null where it is not active.
inline nlohmann::ordered_json json_value(const Space& space, size_t parameter, double value) {
  if (std::isnan(value)) return nullptr;
  if (space[parameter].kind == ParameterKind::real) return json_number(value);
  if (space[parameter].kind == ParameterKind::integer) return static_cast<int64_t>(value);
  // Such a text, number or truth value of TOML is one of JSON, too.
  std::string literal = space.literal(parameter, value);
  nlohmann::ordered_json parsed = nlohmann::ordered_json::parse(literal, nullptr, false);
  return parsed.is_discarded() ? nlohmann::ordered_json(literal) : parsed;
}

}  // namespace trireme
