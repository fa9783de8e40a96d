// The HDF5 file of predictions, written a block of rows at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/hdf5.h"
#include "base/sample_shape.h"

namespace trireme {

// How many float32 values rank 0 is given of a sample: a class's probabilities, the predicted numbers, or the
// loss.
int64_t row_width(const SampleShape& sample);

class PredictionFile {
 public:
  // IoError.
  PredictionFile(const std::filesystem::path& path, const SampleShape& sample, int64_t samples);
  // `rows` of row_width values each, for samples [first, first + rows).
  void write(int64_t first, int64_t rows, std::span<const float> values);
  const h5::Handle& file() const { return file_; }
  void commit();

 private:
  SampleShape sample_;
  PendingFile pending_;
  h5::Handle file_;
  h5::Handle predictions_, detail_;
};

}  // namespace trireme
