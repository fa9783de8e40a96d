// A table in an HDF5 file, as the contract has it:
//   /features  float32 (N, F), fletcher32; attributes feature_names (a text a column), mean and std (double,
//   one a
//              column)
//   /targets   whole numbers (N), each in [0, classes), with the attribute class_names; or float32 (N, K)
//   with
//              target_names
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/hdf5.h"

namespace trireme {

class ChunkCache;

// Opening reads targets and attributes; features are read on demand. All const members may be called from any
// number of threads.
class TableFile {
 public:
  // cache_bytes bounds what is kept of the features (one chunk a reading thread stays beyond it).
  // Throws MissingInputError, IoError, or DataError naming the file and what breaks the contract; a target
  // that is not a finite number does.
  TableFile(const std::filesystem::path& path, int64_t cache_bytes);
  ~TableFile();

  const std::filesystem::path& path() const { return path_; }
  int64_t rows() const { return rows_; }
  int64_t features() const { return static_cast<int64_t>(feature_names_.size()); }
  const std::vector<std::string>& feature_names() const { return feature_names_; }
  // Per column; std is 0 or more.
  const std::vector<double>& mean() const { return mean_; }
  const std::vector<double>& standard_deviation() const { return standard_deviation_; }
  // Classification: names of the classes; empty for regression.
  const std::vector<std::string>& class_names() const { return class_names_; }
  // Regression: names of the K values; empty for classification.
  const std::vector<std::string>& target_names() const { return target_names_; }
  std::span<const int32_t> labels() const { return labels_; }  // (N), classification
  std::span<const float> values() const { return values_; }    // (N, K), regression

  // Writes one row's features. DataError naming file, row and column when a chunk fails its checksum or a
  // value is not a finite number (what is missing is trireme-prepare's to settle).
  void read(int64_t row, float* out) const;

 private:
  void read_targets(const h5::Handle& targets);

  std::filesystem::path path_;
  int64_t rows_ = 0;
  std::vector<std::string> feature_names_, class_names_, target_names_;
  std::vector<double> mean_, standard_deviation_;
  std::vector<int32_t> labels_;
  std::vector<float> values_;
  std::unique_ptr<ChunkCache> cache_;
};

}  // namespace trireme
