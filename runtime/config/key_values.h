// The keys of a training config by their full names, for those who ask for one by its name: a sweep's space
// and its formulas.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.h"
#include "config/keys.h"

namespace trireme {

// A number (integers too), a truth value or a text; a list is its TOML text.
using KeyValue = std::variant<double, bool, std::string>;

// "0.5", "\"sgd\"", "[64, 32]" as a value. Throws ConfigError when it is no TOML value.
KeyValue key_value(std::string_view literal);

struct ConfigKey {
  KeyTable table;  // with the key; its rows point into the config
  Key key;
};

// "optimizer.learning_rate", "model.layer[2].rate" (lists count from 0; the entry must be there), whether or
// not the config's kinds read it. Nothing for a name that is no key.
std::optional<ConfigKey> find_config_key(Config& config, std::string_view name);
std::optional<KeyValue> value_of_key(const Config& config, std::string_view name);

// All keys but those of lists of tables.
std::vector<std::string> config_key_names();
// The nearest of dotted names, where one is near enough to be meant: a slip in its last part first, then one
// in its tables, or other tables. Empty when none is.
std::string nearest_dotted(std::string_view name, const std::vector<std::string>& names);

}  // namespace trireme
