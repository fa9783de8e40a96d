#include "data/transform_place.h"

#include <algorithm>
#include <cstring>

namespace trireme {
namespace {

// Eight bytes at a time: rows are too short for anything cleverer to pay.
void copy_reversed(const uint8_t* in, int64_t count, uint8_t* out) {
  for (; count >= 8; count -= 8, out += 8) {
    uint64_t word;
    std::memcpy(&word, in + count - 8, 8);
    word = __builtin_bswap64(word);
    std::memcpy(out, &word, 8);
  }
  for (; count > 0; --count) *out++ = in[count - 1];
}

}  // namespace

void place_pixels(const PixelWindow& in, const Placing& placing, std::vector<uint8_t>& out) {
  const int64_t row_bytes = in.width * in.channels;
  out.assign(static_cast<size_t>(in.height * row_bytes), 0);
  int64_t begin = std::max<int64_t>(0, -placing.right);  // columns [begin, end) come from the window
  int64_t end = std::min(in.width, in.width - placing.right);
  int64_t first = std::max<int64_t>(0, -placing.down);  // and so do rows [first, last)
  int64_t last = std::min(in.height, in.height - placing.down);
  int64_t to = placing.mirror_columns ? in.width - end : begin;
  for (int64_t y = first; y < last; ++y) {
    const uint8_t* source =
        in.pixels + (y + placing.down) * in.row_bytes + (begin + placing.right) * in.channels;
    int64_t row = placing.mirror_rows ? in.height - 1 - y : y;
    uint8_t* target = out.data() + row * row_bytes + to * in.channels;
    if (!placing.mirror_columns) {
      std::copy_n(source, (end - begin) * in.channels, target);
    } else if (in.channels == 1) {
      copy_reversed(source, end - begin, target);
    } else {
      for (int64_t x = end - begin - 1; x >= 0; --x, target += in.channels) {
        std::copy_n(source + x * in.channels, in.channels, target);
      }
    }
  }
}

}  // namespace trireme
