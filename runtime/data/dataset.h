// What is learned from, whatever it is: numbered samples that are written into batches.
//
//   Datasets data = open_datasets(config.data);
//   data.training->size(), data.training->sample_shape() ...
//   Loader loader = Loader::training(*data.training, config.data, options);
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/sample_shape.h"
#include "config/config.h"
#include "data/data_files.h"

namespace trireme {

// Which turn at a sample it is. What is drawn at random is a function of these and of the sample, so it
// depends neither on ranks nor on threads nor on the batch.
struct Visit {
  uint64_t seed = 1;
  int64_t epoch = 0;
  bool augment = false;  // training; else nothing is random: validation, prediction
};

// Numbered samples, each some features and what is to be learned of them. Immutable once opened: all members
// may be called from any number of threads.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual const std::filesystem::path& path() const = 0;
  virtual int64_t size() const = 0;  // samples, at least 1
  // One sample as write() writes it, transforms included.
  virtual SampleShape sample_shape() const = 0;
  // Names the data (not what is done to it): 64 hexadecimal digits. Another number of samples, other labels,
  // another split: another identity.
  virtual std::string identity() const = 0;
  // For people: "60000 samples: images of 28 x 28 x 1, 10 classes".
  virtual std::string description() const = 0;

  // Writes `samples` (each in [0, size())) one after the other: features_bytes() and targets_bytes() each, in
  // the types that SampleKind tells. Throws DataError naming file and place for what cannot be read or breaks
  // the contract.
  virtual void write(const Visit& visit, std::span<const int64_t> samples, void* features,
                     void* targets) const = 0;
};

// Bytes of one sample's features and of its targets in a batch.
int64_t features_bytes(const SampleShape& sample);
int64_t targets_bytes(const SampleShape& sample);

struct Datasets {
  std::unique_ptr<Dataset> training;
  std::unique_ptr<Dataset> validation;  // null for none
};

// Opens data.train and data.validation, or both parts of data.train where data.validation_fraction is above
// 0. What a file holds (images, text, a table) is seen from it. Validation samples are normalised by the
// training file's statistics, which the model has learned to read.
// Throws MissingInputError, IoError; DataError naming the file where it breaks its contract (README.md) or
// does not fit the training file; ConfigError where transforms or the split do not suit the data.
// `files`: where files may be open already; null for none.
Datasets open_datasets(const DataConfig& config, DataFiles* files = nullptr);

// One file alone; normalised like `like` (a data set of the same kind) where that is given.
std::unique_ptr<Dataset> open_dataset(const std::filesystem::path& path, const DataConfig& config,
                                      const Dataset* like = nullptr);

}  // namespace trireme
