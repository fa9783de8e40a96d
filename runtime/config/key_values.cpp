#include "config/key_values.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/nearest_name.h"
#include "config/entries.h"
#include "config/nearest.h"
#include "config/toml_value.h"

namespace trireme {
namespace {

std::optional<ConfigKey> find_in(KeyTable table, std::string_view name) {
  for (const Key& key : table.keys) {
    if (key.name == name) return ConfigKey{table, key};
  }
  return std::nullopt;
}

// "[2].rate" -> 2 and "rate".
std::optional<std::pair<size_t, std::string_view>> split_item(std::string_view text) {
  size_t index = 0;
  if (!text.starts_with('[')) return std::nullopt;
  auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), index);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (error != std::errc() || !text.starts_with("].")) return std::nullopt;
  return std::pair{index, text.substr(2)};
}

template <class Item>
std::optional<ConfigKey> find_item(std::vector<Item>& items, std::string_view list, std::string_view name) {
  if (!name.starts_with(list)) return std::nullopt;
  auto item = split_item(name.substr(list.size()));
  if (!item || item->first >= items.size()) return std::nullopt;
  return find_in(table_of(items[item->first]), item->second);
}

}  // namespace

KeyValue key_value(std::string_view literal) {
  TomlValue value = parse_toml(fmt::format("value = {}", literal), "value").table()->front().value;
  if (const auto* flag = std::get_if<bool>(&value.data)) return *flag;
  if (const auto* integer = std::get_if<int64_t>(&value.data)) return static_cast<double>(*integer);
  if (const auto* number = std::get_if<double>(&value.data)) return *number;
  if (const auto* text = std::get_if<std::string>(&value.data)) return *text;
  return config_entries(fmt::format("value = {}", literal), "value").begin()->second;
}

std::optional<ConfigKey> find_config_key(Config& config, std::string_view name) {
  for (KeyTable& table : tables_of(config)) {
    if (!name.starts_with(table.name) || name.size() <= table.name.size() || name[table.name.size()] != '.') {
      continue;
    }
    auto found = find_in(table, name.substr(table.name.size() + 1));
    if (found) return found;
  }
  if (auto found = find_item(config.model.layer, "model.layer", name)) return found;
  if (auto found = find_item(config.optimizer.group, "optimizer.group", name)) return found;
  return find_item(config.discriminator_optimizer.group, "optimizer.discriminator.group", name);
}

std::optional<KeyValue> value_of_key(const Config& config, std::string_view name) {
  Config copy = config;  // rows point into a config that may be written to
  auto found = find_config_key(copy, name);
  if (!found) return std::nullopt;
  return key_value(to_toml(found->key.slot));
}

std::vector<std::string> config_key_names() {
  Config config;
  std::vector<std::string> names;
  for (const KeyTable& table : tables_of(config)) {
    for (const Key& key : table.keys) names.push_back(fmt::format("{}.{}", table.name, key.name));
  }
  return names;
}

std::string nearest_dotted(std::string_view name, const std::vector<std::string>& names) {
  std::string_view last = name.substr(name.rfind('.') + 1);
  std::string best;
  size_t best_score = 0;
  for (const std::string& known : names) {
    std::string_view known_last = std::string_view(known).substr(known.rfind('.') + 1);
    if (!is_near(last, known_last)) continue;
    // A slip in the key, then one in its table or another table.
    size_t score = 100 * edit_distance(last, known_last) + edit_distance(name, known);
    if (best.empty() || score < best_score) {
      best = known;
      best_score = score;
    }
  }
  return best;
}

}  // namespace trireme
