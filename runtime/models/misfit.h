// Errors of builders before they know where in the file a key stands.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "base/error.h"
#include "config/config.h"

namespace trireme {

// A key of the config that does not fit the data or its neighbours.
struct MisfitError : std::runtime_error {
  MisfitError(std::string config_key, const std::string& message)
      : std::runtime_error(message), key(std::move(config_key)) {}
  std::string key;
};

// What `build` returns; a MisfitError becomes a ConfigError that begins with the key's place.
template <class Build>
auto placing_misfits(const Config& config, Build build) {
  try {
    return build();
  } catch (const MisfitError& error) {
    throw ConfigError("{}: {}: {}", config.where(error.key), error.key, error.what());
  }
}

}  // namespace trireme
