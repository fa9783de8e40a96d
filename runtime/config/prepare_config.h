// The typed form of trireme-prepare's TOML file, by the same declarations as config.h's:
//
//   [prepare]
//   class_names = ["T-shirt", "Trouser"]
//   [[prepare.dataset]]
//   images = "train-images.gz"
//   labels = "train-labels.gz"
//   output = "data/train.h5"
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trireme {

// One [[prepare.dataset]], with what [prepare] says about all of them.
struct PrepareDatasetConfig {
  std::string kind = "idx";
  std::vector<std::string> class_names;  // empty: 0, 1, ... up to the largest label
  std::string images;
  std::string labels;
  std::string output;
  std::string origin;  // where the table stands in the file, for messages
};

struct PrepareConfig {
  std::string kind = "idx";
  std::vector<std::string> class_names;
  std::vector<PrepareDatasetConfig> dataset;
};

// As load_config and parse_config: ConfigError (exit 78) with one message that begins with FILE:LINE:COLUMN
// or with
// "--set KEY=VALUE". Whether the named files are there is not checked here.
PrepareConfig load_prepare_config(const std::string& path, const std::vector<std::string>& overrides = {});
PrepareConfig parse_prepare_config(std::string_view text, const std::string& name,
                                   const std::vector<std::string>& overrides = {});

// The reference of the keys, for --help-config.
std::string help_prepare_config();

}  // namespace trireme
