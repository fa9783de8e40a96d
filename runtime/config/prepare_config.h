// The typed form of trireme-prepare's TOML file, by the same declarations as config.h's:
//
//   [[prepare.dataset]]
//   kind = "text"
//   files = ["data/bible_kjv/bible.txt"]
//   output = "data/bible_kjv/train.h5"
//   validation_output = "data/bible_kjv/validation.h5"
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

// One [[prepare.dataset]], with what [prepare] says about all of them. Members that the kind has no use for
// hold their defaults.
struct PrepareDatasetConfig {
  std::string kind = "idx";  // idx text csv images
  std::string output;

  std::string images;                    // idx
  std::string labels;                    // idx
  std::vector<std::string> class_names;  // idx; empty: 0, 1, ... up to the largest label

  std::vector<std::string> files;       // text, csv
  std::string encoding = "characters";  // text: bytes characters subword
  int64_t vocabulary_size = 4096;       // text, subword
  std::string unknown;                  // text, characters: what others become; empty: they are an error
  bool header = true;                   // csv
  std::string delimiter = ",";          // csv: one character
  std::vector<std::string> target;      // csv: columns to predict
  std::string task = "auto";            // csv: auto classes numbers
  std::vector<std::string> categories;  // csv: columns read as categories whatever they look like
  std::vector<std::string> ignore;      // csv: columns left out
  std::string missing = "error";        // csv: error mean zero
  std::string folder;                   // images
  int64_t height = 0, width = 0;        // images: scaled to; 0: as they are, all the same
  int64_t channels = 0;                 // images: 1, 3, or 0 for those of the first
  std::string like;                  // not idx: a data set whose vocabulary, categories, classes go here too
  std::string validation_output;     // not idx: HDF5 file of the part kept apart
  double validation_fraction = 0.1;  // of the samples that go there

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
