// From a sweep's config to the training configs of its trials.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "config/bind.h"
#include "config/key_tables.h"
#include "config/key_values.h"
#include "config/sweep_config.h"
#include "config/toml_value.h"

namespace trireme {
namespace {

constexpr std::string_view own_keys = "sweep.";  // of parameters that are no key of the training config
constexpr std::string_view width_key = "sweep.ranks_per_trial";

// Whether other keys are read or not by what this one says: optimizer.kind.
bool is_selector(const std::string& name) {
  Config config;
  std::optional<ConfigKey> found = find_config_key(config, name);
  return found && found->table.has_kind() && found->key.name == found->table.selector;
}

// The base with [sweep.set]. With `leftovers`, what is set counts like what the base's file says: a kind that
// a trial chooses passes over the keys that it does not read.
TomlValue base_of(const SweepConfig& config, bool leftovers) {
  if (config.sweep.base.empty()) {
    throw ConfigError("{}: the key sweep.base is missing: the training config that trials begin from",
                      config.origins.file);
  }
  TomlValue root = parse_toml(config.base_text, config.sweep.base);
  for (const auto& [key, literal] : config.set) {
    TomlValue value = parse_override(literal, config.where("sweep.set." + key));
    value.literal.clear();  // its type is as it stands: the text "7" is no number
    if (leftovers && !is_selector(key)) value.overridden = false;
    place_value(root, key, std::move(value));
  }
  return root;
}

Config bind_all(const TomlValue& root, const SweepConfig& config) {
  Config training = bind_config(root, config.sweep.base);
  check_rules(training);
  return training;
}

void put_origin(TomlValue& value, const std::string& origin) {
  value.origin = origin;
  if (auto* list = value.list()) {
    for (TomlValue& item : *list) put_origin(item, origin);
  }
}

// Whether the values of a row are those of the key: numbers for numbers, whole ones for integers.
void check_distribution(const SpaceEntry& entry, const Key& key) {
  if (entry.distribution == "choice") return;
  auto fail = [&](const std::string& reason) {
    throw ConfigError("{}: [space] {}: {}", entry.place.text, entry.key, reason);
  };
  bool is_integer =
      std::holds_alternative<int64_t*>(key.slot) || std::holds_alternative<CountOrName*>(key.slot);
  if (!is_integer && !std::holds_alternative<double*>(key.slot)) {
    fail(fmt::format("{} is not for this key, which is {}; use choice", entry.distribution,
                     describe_type(key)));
  }
  if (!is_integer) return;
  if (entry.distribution == "uniform") fail("this key is an integer; use int in place of uniform");
  if (entry.distribution == "log_uniform")
    fail("this key is an integer; use log_int in place of log_uniform");
  for (double number : {entry.low, entry.high, entry.step}) {
    if (number != static_cast<double>(static_cast<int64_t>(number))) {
      fail(fmt::format("this key is an integer, and {} is none", number));
    }
  }
}

// The ends, or each choice, as the key would read them.
void check_values(const SpaceEntry& entry, const Key& key) {
  std::vector<TomlValue> values;
  for (const std::string& choice : entry.choices) {
    values.push_back(parse_toml("value = " + choice, entry.place.text).table()->front().value);
  }
  if (entry.distribution != "choice") {
    for (double end : {entry.low, entry.high}) {
      TomlValue& value = values.emplace_back();
      value.data = end;
      if (!std::holds_alternative<double*>(key.slot)) value.data = static_cast<int64_t>(end);
    }
  }
  for (TomlValue& value : values) {
    put_origin(value, entry.place.text);
    read_key(key, "[space] " + entry.key, value);
  }
}

void check_entry(const SpaceEntry& entry, Config base) {
  std::string_view key = entry.key;
  if (key == width_key) {
    SweepConfig sweep;
    std::vector<KeyTable> tables = tables_of(sweep);
    Key width = tables.front().keys.front();
    for (const Key& one : tables.front().keys) {
      if (one.name == key.substr(own_keys.size())) width = one;
    }
    check_distribution(entry, width);
    return check_values(entry, width);
  }
  std::optional<ConfigKey> found = find_config_key(base, key);
  if (!found) {
    std::vector<std::string> names = config_key_names();
    names.emplace_back(width_key);
    std::string near = nearest_dotted(key, names);
    std::string hint = near.empty() ? "--help-config of trireme-train lists all keys"
                                    : fmt::format("did you mean {}?", near);
    bool is_item = key.find('[') != std::string_view::npos;
    if (is_item) hint = "lists count from 0, and the base config must have the entry";
    if (key.starts_with(own_keys))
      hint = fmt::format("of the sweep's own keys, {} alone is searched", width_key);
    throw ConfigError("{}: [space] {}: unknown key; {}", entry.place.text, key, hint);
  }
  if (key == "run.name") {
    throw ConfigError("{}: [space] run.name is not searched: it names a folder, and trials have their own",
                      entry.place.text);
  }
  check_distribution(entry, found->key);
  check_values(entry, found->key);
}

}  // namespace

Config load_sweep_base(const SweepConfig& config) {
  Config base = bind_all(base_of(config, false), config);
  require_training_keys(base);
  if (base.data.validation.empty() && base.data.validation_fraction == 0) {
    throw ConfigError(
        "{}: a sweep judges by the validation, and its base has none: name a data.validation or a "
        "data.validation_fraction there or in [sweep.set]",
        config.sweep.base);
  }
  return base;
}

void check_space_keys(const SweepConfig& config, const Config& base) {
  for (const SpaceEntry& entry : config.space) check_entry(entry, base);
}

Config make_trial_config(const SweepConfig& config, const std::vector<std::string>& assignments) {
  TomlValue root = base_of(config, true);
  for (const std::string& assignment : assignments) {
    if (!assignment.starts_with(own_keys)) apply_override(root, assignment);
  }
  return bind_all(root, config);
}

}  // namespace trireme
