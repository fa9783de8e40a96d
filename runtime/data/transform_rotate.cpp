#include "data/transform_rotate.h"

#include <cmath>
#include <numbers>

namespace trireme {
namespace {

// std::floor is a call into the library on machines as old as we build for.
int64_t floor_of(float value) {
  auto whole = static_cast<int32_t>(value);
  return whole - (static_cast<float>(whole) > value ? 1 : 0);
}

}  // namespace

void rotate_pixels(const uint8_t* in, int64_t height, int64_t width, int64_t channels, double degrees,
                   std::vector<uint8_t>& out) {
  out.resize(static_cast<size_t>(height * width * channels));
  const double angle = degrees * std::numbers::pi / 180.0;
  const auto cosine = static_cast<float>(std::cos(angle));
  const auto sine = static_cast<float>(std::sin(angle));
  const float middle_y = static_cast<float>(height - 1) / 2, middle_x = static_cast<float>(width - 1) / 2;
  const int64_t row_bytes = width * channels;
  uint8_t* target = out.data();
  for (int64_t y = 0; y < height; ++y) {
    const float dy = static_cast<float>(y) - middle_y;
    for (int64_t x = 0; x < width; ++x, target += channels) {
      // Rows count downwards: counter-clockwise by the angle is read back by this.
      const float dx = static_cast<float>(x) - middle_x;
      const float from_x = middle_x + cosine * dx - sine * dy;
      const float from_y = middle_y + sine * dx + cosine * dy;
      const int64_t left = floor_of(from_x), top = floor_of(from_y);
      const float part_x = from_x - static_cast<float>(left), part_y = from_y - static_cast<float>(top);
      const float weights[2][2] = {{(1 - part_y) * (1 - part_x), (1 - part_y) * part_x},
                                   {part_y * (1 - part_x), part_y * part_x}};
      const bool inside = left >= 0 && top >= 0 && left + 1 < width && top + 1 < height;
      const uint8_t* source = in + top * row_bytes + left * channels;
      for (int64_t c = 0; c < channels; ++c) {
        float sum = 0;
        if (inside) {
          sum = weights[0][0] * source[c] + weights[0][1] * source[channels + c] +
                weights[1][0] * source[row_bytes + c] + weights[1][1] * source[row_bytes + channels + c];
        } else {
          for (int64_t i = 0; i < 2; ++i) {
            for (int64_t j = 0; j < 2; ++j) {
              if (top + i < 0 || top + i >= height || left + j < 0 || left + j >= width) continue;
              sum += weights[i][j] * in[(top + i) * row_bytes + (left + j) * channels + c];
            }
          }
        }
        target[c] = static_cast<uint8_t>(sum + 0.5f);
      }
    }
  }
}

}  // namespace trireme
