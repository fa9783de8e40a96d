#include "config/config.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/error.h"
#include "config/bind.h"
#include "config/keys.h"
#include "config/toml_value.h"

namespace trireme {
namespace {

void dump_keys(std::string& text, const KeyTable& table) {
  for (const Key& key : table.keys) {
    if (table.reads(key)) text += fmt::format("{} = {}\n", key.name, to_toml(key.slot));
  }
}

template <class Item>
void dump_list(std::string& text, std::string_view name, std::vector<Item>& items) {
  for (Item& item : items) {
    text += fmt::format("\n[[{}]]\n", name);
    dump_keys(text, table_of(item));
  }
}

}  // namespace

std::string Config::where(std::string_view key) const {
  auto found = origins.keys.find(key);
  return found == origins.keys.end() ? origins.file : found->second;
}

Config parse_config(std::string_view text, const std::string& name,
                    const std::vector<std::string>& overrides) {
  TomlValue root = parse_toml(text, name);
  for (const std::string& assignment : overrides) apply_override(root, assignment);
  Config config = bind_config(root, name);
  check_rules(config);
  return config;
}

Config load_config(const std::string& path, const std::vector<std::string>& overrides) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    throw ConfigError("{}: this is a directory; name the TOML file that describes the run", path);
  }
  std::string text;
  try {
    text = read_file(path);
  } catch (const Error& reason) {
    throw ConfigError("{}: the config file cannot be read: {}", path, reason.what());
  }
  return parse_config(text, path, overrides);
}

std::string dump_config(const Config& config) {
  Config copy = config;  // rows point into a config that may be written to
  std::string text;
  for (const KeyTable& table : tables_of(copy)) {
    if (!table.is_read()) continue;
    text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", table.name);
    dump_keys(text, table);
    if (table.name == "model" && copy.model.kind == "layers")
      dump_list(text, "model.layer", copy.model.layer);
    if (table.name == "optimizer") dump_list(text, "optimizer.group", copy.optimizer.group);
    if (table.name == "optimizer.discriminator") {
      dump_list(text, "optimizer.discriminator.group", copy.discriminator_optimizer.group);
    }
  }
  return text;
}

}  // namespace trireme
