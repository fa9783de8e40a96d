#include "config/prepare_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "config/bind.h"
#include "config/key_tables.h"
#include "config/text_wrap.h"
#include "config/toml_value.h"

namespace trireme {
namespace {

constexpr std::string_view datasets_name = "dataset";

const Key* find_key(const KeyTable& table, std::string_view name) {
  auto found =
      std::find_if(table.keys.begin(), table.keys.end(), [&](const Key& key) { return key.name == name; });
  return found == table.keys.end() ? nullptr : &*found;
}

// The rules between the keys of one table.
void check_dataset(const PrepareDatasetConfig& dataset, const std::string& name) {
  auto fail = [&](const std::string& reason) {
    throw ConfigError("{}: {}: {}", dataset.origin, name, reason);
  };
  if (dataset.kind == "csv") {
    if (dataset.delimiter.size() != 1 ||
        std::string_view("\"\r\n").find(dataset.delimiter) != std::string_view::npos) {
      fail("delimiter is one character (of one byte), and neither a quote nor a line break");
    }
    for (const std::string& column : dataset.target) {
      for (const auto* others : {&dataset.categories, &dataset.ignore}) {
        if (std::find(others->begin(), others->end(), column) == others->end()) continue;
        fail(fmt::format("column `{}` is both a target and in {}", column,
                         others == &dataset.ignore ? "ignore" : "categories"));
      }
    }
  }
  if (dataset.kind == "text" && !dataset.unknown.empty() && dataset.encoding != "characters") {
    fail("unknown goes with encoding = \"characters\" only; bytes and subwords know every text");
  }
  if ((dataset.height == 0) != (dataset.width == 0)) fail("give both height and width, or neither");
  if (dataset.channels == 2) fail("channels is 1, 3, or 0 for those of the first image");
}

// Binds one table. Its kind goes first, since it decides which other keys are read.
PrepareDatasetConfig bind_dataset(const TomlValue& value, const std::string& name,
                                  const PrepareConfig& shared) {
  const auto* entries = value.table();
  if (!entries) throw ConfigError("{}: {} is a table, found {}", value.origin, name, describe(value));
  PrepareDatasetConfig dataset;
  dataset.kind = shared.kind;
  dataset.origin = value.origin;
  KeyTable table = prepare_dataset_table(dataset);
  for (const TomlEntry& entry : *entries) {
    if (entry.key == "kind") read_key(table.keys.front(), name + ".kind", entry.value);
  }
  if (dataset.kind == "idx") dataset.class_names = shared.class_names;
  std::set<std::string_view> given;
  for (const TomlEntry& entry : *entries) {
    const Key* key = find_key(table, entry.key);
    if (!key) unknown_key(table, name, entry);
    if (!table.reads(*key)) {
      throw ConfigError("{}: {}.{} is not read by kind = \"{}\", only by {}; remove it or change the kind",
                        entry.value.origin, name, entry.key, dataset.kind, fmt::join(key->rule.kinds, ", "));
    }
    read_key(*key, name + "." + entry.key, entry.value);
    given.insert(key->name);
    const auto* const* text = std::get_if<std::string*>(&key->slot);
    if (key->rule.required && text && (*text)->empty()) {
      throw ConfigError("{}: {}.{} is empty; name a {}", entry.value.origin, name, entry.key,
                        entry.key == "folder" ? "folder" : "file");
    }
  }
  for (const Key& key : table.keys) {
    if (key.rule.required && table.reads(key) && !given.contains(key.name)) {
      throw ConfigError("{}: {}: the key `{}` is missing ({})", value.origin, name, key.name,
                        describe_type(key));
    }
  }
  check_dataset(dataset, name);
  return dataset;
}

bool same_file(const std::string& a, const std::string& b) {
  return std::filesystem::path(a).lexically_normal() == std::filesystem::path(b).lexically_normal();
}

std::vector<std::string> inputs_of(const PrepareDatasetConfig& dataset) {
  std::vector<std::string> inputs = dataset.files;
  for (const std::string* one : {&dataset.images, &dataset.labels, &dataset.folder}) {
    if (!one->empty()) inputs.push_back(*one);
  }
  return inputs;
}

std::vector<std::string> outputs_of(const PrepareDatasetConfig& dataset) {
  std::vector<std::string> outputs{dataset.output};
  if (!dataset.validation_output.empty()) outputs.push_back(dataset.validation_output);
  return outputs;
}

void check_outputs(const PrepareConfig& config) {
  std::vector<std::pair<std::string, const PrepareDatasetConfig*>> taken;
  for (const PrepareDatasetConfig& one : config.dataset) {
    for (const std::string& output : outputs_of(one)) {
      for (const PrepareDatasetConfig& other : config.dataset) {
        for (const std::string& input : inputs_of(other)) {
          if (same_file(output, input))
            throw ConfigError("{}: output {} is also an input", one.origin, output);
        }
      }
      if (same_file(output, one.like)) {
        throw ConfigError("{}: output {} cannot be like itself", one.origin, output);
      }
      for (const auto& [path, owner] : taken) {
        if (!same_file(output, path)) continue;
        throw ConfigError("{}: output {} is also that of the data set at {}", one.origin, output,
                          owner->origin);
      }
      taken.emplace_back(output, &one);
    }
  }
  // What a data set is like must be made before it.
  for (size_t i = 0; i < config.dataset.size(); ++i) {
    const PrepareDatasetConfig& one = config.dataset[i];
    for (size_t j = i + 1; j < config.dataset.size() && !one.like.empty(); ++j) {
      for (const std::string& output : outputs_of(config.dataset[j])) {
        if (!same_file(output, one.like)) continue;
        throw ConfigError("{}: like = {} is made by a table further down, at {}; put that one first",
                          one.origin, one.like, config.dataset[j].origin);
      }
    }
  }
}

}  // namespace

PrepareConfig parse_prepare_config(std::string_view text, const std::string& name,
                                   const std::vector<std::string>& overrides) {
  TomlValue root = parse_toml(text, name);
  for (const std::string& assignment : overrides) apply_override(root, assignment);
  PrepareConfig config;
  KeyTable table = prepare_table(config);
  const TomlValue* datasets = nullptr;
  for (const TomlEntry& entry : *root.table()) {
    if (entry.key != "prepare" || !entry.value.table()) {
      throw ConfigError("{}: `{}`: this file takes [prepare] and [[prepare.dataset]] only",
                        entry.value.origin, entry.key);
    }
    for (const TomlEntry& inner : *entry.value.table()) {
      if (inner.key == datasets_name) {
        datasets = &inner.value;
      } else if (const Key* key = find_key(table, inner.key)) {
        read_key(*key, "prepare." + inner.key, inner.value);
      } else {
        unknown_key(table, "prepare", inner);
      }
    }
  }
  if (!datasets) throw ConfigError("{}: has no [[prepare.dataset]] table: nothing to prepare", name);
  const auto* list = datasets->list();
  if (!list) {
    throw ConfigError("{}: data sets are a list of tables, found {}; begin each with [[prepare.dataset]]",
                      datasets->origin, describe(*datasets));
  }
  for (size_t i = 0; i < list->size(); ++i) {
    config.dataset.push_back(bind_dataset((*list)[i], fmt::format("prepare.dataset[{}]", i), config));
  }
  bool any_idx = std::any_of(config.dataset.begin(), config.dataset.end(),
                             [](const PrepareDatasetConfig& one) { return one.kind == "idx"; });
  if (!config.class_names.empty() && !any_idx) {
    throw ConfigError("{}: prepare.class_names is read by kind = \"idx\" only, and no data set is one", name);
  }
  check_outputs(config);
  return config;
}

PrepareConfig load_prepare_config(const std::string& path, const std::vector<std::string>& overrides) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    throw ConfigError("{}: this is a directory; name the TOML file that says what to prepare", path);
  }
  std::string text;
  try {
    text = read_file(path);
  } catch (const Error& reason) {
    throw ConfigError("{}: the config file cannot be read: {}", path, reason.what());
  }
  return parse_prepare_config(text, path, overrides);
}

std::string help_prepare_config() {
  PrepareConfig config;
  PrepareDatasetConfig dataset;
  return wrap(
             "Data preparation is described by one TOML file of the tables below. Any key can be set on the "
             "command "
             "line: --set 'prepare.dataset[0].output=data/train.h5' (data sets count from 0).",
             0) +
         describe_table(prepare_table(config), "[prepare]") +
         describe_table(prepare_dataset_table(dataset), "[[prepare.dataset]]");
}

}  // namespace trireme
