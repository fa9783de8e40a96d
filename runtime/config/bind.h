// From TOML values to the structs, by the declarations in keys.cpp.
#pragma once

#include "config/config.h"
#include "config/toml_value.h"

namespace trireme {

// Throws ConfigError at the first fault: unknown key or table, wrong type, out of range, unknown choice, a
// key that the chosen kind does not read, a required key missing.
Config bind_config(const TomlValue& root, const std::string& file);

// The rules between keys (rules.cpp). Throws ConfigError.
void check_rules(const Config& config);

}  // namespace trireme
