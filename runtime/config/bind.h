// From TOML values to the structs, by the declarations in keys.h.
#pragma once

#include <string>

#include "config/config.h"
#include "config/keys.h"
#include "config/toml_value.h"

namespace trireme {

// Throws ConfigError at the first fault: unknown key or table, wrong type, out of range, unknown choice, a
// key that the chosen kind does not read, a required key missing.
Config bind_config(const TomlValue& root, const std::string& file);

// Reads `value` into the key's slot. `name` is the key's full name, for messages. Throws ConfigError: wrong
// type, out of range, unknown choice.
void read_key(const Key& key, const std::string& name, const TomlValue& value);

// Throws ConfigError for `entry`, which no key of `table` reads, naming the nearest one that is.
[[noreturn]] void unknown_key(const KeyTable& table, const std::string& name, const TomlEntry& entry);

// The rules between keys (rules.cpp). Throws ConfigError.
void check_rules(const Config& config);
// What run.name and sweep.name must be. Throws ConfigError naming `key`, which stands at `place`.
void check_directory_name(const std::string& place, const std::string& key, const std::string& name);

}  // namespace trireme
