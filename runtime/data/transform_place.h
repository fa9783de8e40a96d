// Crop, shift and flips: pixels that move by whole places.
#pragma once

#include <cstdint>
#include <vector>

namespace trireme {

// A window of an image: rows of `row_bytes` bytes in memory, of which height x width pixels count.
struct PixelWindow {
  const uint8_t* pixels;
  int64_t height, width, channels;
  int64_t row_bytes;

  bool is_whole() const { return row_bytes == width * channels; }
};

// How the window is placed in an image of its own size: output row y is row y + down, column x is column
// x + right (outside lies black), then mirrored.
struct Placing {
  int64_t down = 0, right = 0;
  bool mirror_columns = false;  // left to right
  bool mirror_rows = false;     // top to bottom

  bool moves() const { return down != 0 || right != 0 || mirror_columns || mirror_rows; }
};

// out: (height, width, channels), resized as needed.
void place_pixels(const PixelWindow& in, const Placing& placing, std::vector<uint8_t>& out);

}  // namespace trireme
