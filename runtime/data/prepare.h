// From raw files to the HDF5 data sets that dataset.h reads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/shape.h"
#include "config/prepare_config.h"

namespace trireme {

struct PrepareResult {
  bool up_to_date = false;  // the output was there, made from the same sources: nothing was done
  int64_t images = 0;
  Shape image_shape;  // (H, W, C)
  int64_t classes = 0;
  std::vector<double> mean;                // per channel, of pixel / 255
  std::vector<double> standard_deviation;  // the same, of the whole population
};

// Images to a chunk, such that it holds about 128 KiB: a batch read in order touches few chunks, one read at
// random no more than it must, and reading one is long against the cost of asking.
int64_t rows_of_chunk(int64_t image_bytes);

// IDX images (rank 3: N, H, W, one channel; rank 4: N, H, W, C) with their labels (rank 1) to one HDF5 file,
// written aside and renamed when whole. Skips the work when the output records the same sources (by SHA-256)
// and class names, unless `force`. An empty class_names names the classes 0, 1, ... up to the largest label.
// Throws MissingInputError, IoError, and DataError naming file and fault: what IdxReader finds, files that
// are not what they are said to be, different numbers of images and labels, a label without a class. The
// output is then as it was before.
PrepareResult prepare_idx(const PrepareDatasetConfig& config, bool force = false);

}  // namespace trireme
