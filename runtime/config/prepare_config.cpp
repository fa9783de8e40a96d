#include "config/prepare_config.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/atomic_file.h"
#include "base/error.h"
#include "config/bind.h"
#include "config/keys.h"
#include "config/text_wrap.h"
#include "config/toml_value.h"

namespace trireme {
namespace {

constexpr std::string_view datasets_name = "dataset";

KeyTable prepare_table(PrepareConfig& c) {
  return {"prepare",
          "raw files to HDF5 data sets; what stands here goes for all [[prepare.dataset]] tables",
          {
              {"kind",
               &c.kind,
               {.doc = "Format of the raw files. idx: the MNIST family's, unsigned bytes, plain or gzipped.",
                .choices = {"idx"}}},
              {"class_names",
               &c.class_names,
               {.doc = "A name for each class, in the order of the labels; [] names them 0, 1, ... up to the "
                       "largest "
                       "label."}},
          }};
}

KeyTable dataset_table(PrepareDatasetConfig& c) {
  return {"prepare.dataset",
          "one data set to write",
          {
              {"images",
               &c.images,
               {.doc = "File of the images: N x H x W, or N x H x W x C.", .required = true}},
              {"labels", &c.labels, {.doc = "File of the N labels.", .required = true}},
              {"output",
               &c.output,
               {.doc = "HDF5 file to write; its folder is made. One that was made from the same files is "
                       "left alone.",
                .required = true}},
          }};
}

const Key* find_key(const KeyTable& table, std::string_view name) {
  auto found =
      std::find_if(table.keys.begin(), table.keys.end(), [&](const Key& key) { return key.name == name; });
  return found == table.keys.end() ? nullptr : &*found;
}

PrepareDatasetConfig bind_dataset(const TomlValue& value, const std::string& name,
                                  const PrepareConfig& shared) {
  const auto* entries = value.table();
  if (!entries) throw ConfigError("{}: {} is a table, found {}", value.origin, name, describe(value));
  PrepareDatasetConfig dataset;
  dataset.kind = shared.kind;
  dataset.class_names = shared.class_names;
  dataset.origin = value.origin;
  KeyTable table = dataset_table(dataset);
  std::set<std::string_view> given;
  for (const TomlEntry& entry : *entries) {
    const Key* key = find_key(table, entry.key);
    if (!key) unknown_key(table, name, entry);
    read_key(*key, name + "." + entry.key, entry.value);
    given.insert(key->name);
    if (std::get<std::string*>(key->slot)->empty()) {
      throw ConfigError("{}: {}.{} is empty; name a file", entry.value.origin, name, entry.key);
    }
  }
  for (const Key& key : table.keys) {
    if (!given.contains(key.name)) {
      throw ConfigError("{}: {}: the key `{}` is missing ({})", value.origin, name, key.name,
                        describe_type(key));
    }
  }
  return dataset;
}

void check_outputs(const PrepareConfig& config) {
  auto same = [](const std::string& a, const std::string& b) {
    return std::filesystem::path(a).lexically_normal() == std::filesystem::path(b).lexically_normal();
  };
  for (size_t i = 0; i < config.dataset.size(); ++i) {
    const PrepareDatasetConfig& one = config.dataset[i];
    for (const PrepareDatasetConfig& other : config.dataset) {
      if (same(one.output, other.images) || same(one.output, other.labels)) {
        throw ConfigError("{}: output {} is also an input", one.origin, one.output);
      }
    }
    for (size_t j = 0; j < i; ++j) {
      if (!same(one.output, config.dataset[j].output)) continue;
      throw ConfigError("{}: output {} is also that of the data set at {}", one.origin, one.output,
                        config.dataset[j].origin);
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
         describe_table(dataset_table(dataset), "[[prepare.dataset]]");
}

}  // namespace trireme
