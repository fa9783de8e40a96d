// Images that a gan makes, side by side in one PNG file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "base/shape.h"
#include "config/config.h"

namespace trireme {

struct SheetOptions {
  std::filesystem::path run_directory;
  std::filesystem::path sheet;  // replaced when whole
  int64_t samples = 64;
  uint64_t seed = 1;
  std::function<void(const std::string&)> warn = {};
};

struct SheetSize {
  int64_t columns = 0, rows = 0;  // of images
  int64_t height = 0, width = 0;  // pixels
};

// A grid as near to a square as can be, images row by row, 2 pixels between and around them.
SheetSize sheet_size(int64_t samples, const Shape& image_shape);

// Makes `samples` images from noise, image i from (seed, i) alone, and writes the sheet. One rank's work.
// UsageError when the model is no gan; IoError; else as Network and open_datasets.
SheetSize write_samples(const Config& config, const SheetOptions& options);

// Images (samples, H, W, C) in [-1, 1], of one channel or three, to a PNG file. IoError.
SheetSize write_sheet(const std::filesystem::path& path, int64_t samples, const Shape& image_shape,
                      std::span<const float> images);

}  // namespace trireme
