// What the formats of trireme-prepare share.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/hdf5.h"
#include "data/prepare.h"

namespace trireme {

// What an output records of how it was made, as attributes of the root: format, format_version, sources,
// source_sha256, settings. The same record, the same bytes.
struct SourceRecord {
  std::string format;    // "trireme text"
  std::string settings;  // all keys that shape the output, as text
  std::vector<std::string> sources;
  std::vector<std::string> sha256;

  // MissingInputError naming `origin` when the file is not there.
  void add_file(const std::string& path, const std::string& origin);
  // Whether every one of `outputs` is there and records this.
  bool holds_for(std::span<const std::string> outputs) const;
  void write(const h5::Handle& file) const;
};

// An HDF5 file written aside; nothing stays without commit().
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path& path);
  const h5::Handle& file() const { return file_; }
  // Data sets must have been closed.
  void commit(const SourceRecord& record);

 private:
  std::unique_ptr<PendingFile> pending_;
  h5::Handle file_;
};

// output, and validation_output where there is one.
std::vector<std::string> outputs_of(const PrepareDatasetConfig& config);

// Whether sample number `sample` of the raw data is kept apart for validation: drawn, but the same for ever.
bool kept_apart(int64_t sample, double fraction);

// How often each value occurs in each channel; mean and deviation follow exactly, whatever the order of
// counting.
class Histogram {
 public:
  explicit Histogram(int64_t channels) : counts_(static_cast<size_t>(channels)) {}

  void add(std::span<const uint8_t> pixels) {
    size_t channels = counts_.size();
    for (size_t i = 0; i < pixels.size(); i += channels) {
      for (size_t c = 0; c < channels; ++c) ++counts_[c][pixels[i + c]];
    }
  }
  // Of value / 255, over all pixels (the population's, not a sample's).
  void statistics(std::vector<double>& mean, std::vector<double>& deviation) const;

 private:
  std::vector<std::array<uint64_t, 256>> counts_;
};

// "50 images of 6 x 5 x 1, 4 classes, mean 0.5, std 0.25"
std::string image_summary(int64_t images, const Shape& image_shape, int64_t classes,
                          std::span<const double> mean, std::span<const double> deviation);

}  // namespace trireme
