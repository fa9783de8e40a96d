// Errors of builders before they know where in the file a key stands.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace trireme {

// A key of the config that does not fit the data or its neighbours. Becomes a ConfigError in build_model().
struct MisfitError : std::runtime_error {
  MisfitError(std::string config_key, const std::string& message)
      : std::runtime_error(message), key(std::move(config_key)) {}
  std::string key;
};

}  // namespace trireme
