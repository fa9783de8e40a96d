// The rows of [space] and [sweep.set]: their keys are keys of a training config, dotted or in quotes, so they
// are read by hand and not by tables of keys.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/sweep_config.h"
#include "config/toml_value.h"

namespace trireme {

// "--set space.KEY...=TEXT" without its first part.
struct RowOverride {
  std::string name;
  std::string text;
  std::string origin;
};

// `table`: null where there is none. In the order of the file, those of overrides that are new last. Throw
// ConfigError naming the row.
std::vector<SpaceEntry> bind_space(const TomlValue* table, const std::vector<RowOverride>& overrides);
// Key and TOML literal; the place of each goes to `origins` as "sweep.set.KEY".
std::vector<std::pair<std::string, std::string>> bind_set(const TomlValue* table,
                                                          const std::vector<RowOverride>& overrides,
                                                          Origins& origins);

// A key as it is written in TOML: in quotes where it has the index of a list.
std::string row_key(const std::string& key);
// `{ log_uniform = [0.0001, 0.1], when = "..." }`
std::string row_text(const SpaceEntry& entry);

// The reference of [space].
std::string describe_space();

}  // namespace trireme
