// From raw files to the HDF5 data sets that training reads. One file of code a format: prepare_KIND.cpp.
//
// All of them write aside and rename when whole, skip the work when the output records the same sources (by
// SHA-256) and settings, and write the same bytes for the same sources. They throw MissingInputError,
// IoError, and DataError naming file, place and fault; outputs are then as they were before.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/shape.h"
#include "config/prepare_config.h"

namespace trireme {

// One HDF5 file, as it is now.
struct PreparedFile {
  std::filesystem::path path;
  bool up_to_date = false;            // it was there, made from the same sources: nothing was done
  std::string summary;                // "50 images of 6 x 5 x 1, 4 classes, ..."
  std::vector<std::string> warnings;  // what was left out, say
};

// What config.kind says; `force` makes up-to-date files anew. One file, and config.validation_output's.
std::vector<PreparedFile> prepare(const PrepareDatasetConfig& config, bool force = false);

// UTF-8 text to /tokens (N) in the smallest of uint8, uint16, int32, with attributes encoding, vocabulary,
// unknown (where given), and the SentencePiece model in /tokenizer (uint8) for subwords. Invalid UTF-8 and
// unknown characters are named by file, line and byte. Memory: that of the tokens.
std::vector<PreparedFile> prepare_text(const PrepareDatasetConfig& config, bool force);

// Tables to /features (N, F) float32, attributes feature_names, mean, std; and /targets: (N) int32 with
// class_names, or (N, K) float32 with target_names. Malformed cells are named by file, line and column.
// Memory: a few MiB, and the distinct categories.
std::vector<PreparedFile> prepare_csv(const PrepareDatasetConfig& config, bool force);

// Folders of PNG and JPEG files to /images (N, H, W, C) and /labels (N), as from IDX. Memory: one decoded
// image a thread, and one chunk.
std::vector<PreparedFile> prepare_images(const PrepareDatasetConfig& config, bool force);

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

// IDX images (rank 3: N, H, W, one channel; rank 4: N, H, W, C) with their labels (rank 1) to one HDF5 file.
// Skips the work also by class names. An empty class_names names the classes 0, 1, ... up to the largest
// label. DataError: what IdxReader finds, files that are not what they are said to be, different numbers of
// images and labels, a label without a class.
PrepareResult prepare_idx(const PrepareDatasetConfig& config, bool force = false);

}  // namespace trireme
