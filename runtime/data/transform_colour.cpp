#include "data/transform_colour.h"

#include <algorithm>
#include <cmath>

namespace trireme {

PixelRectangle draw_rectangle(RandomStream& stream, int64_t height, int64_t width, double low, double high,
                              double stretch) {
  const double area = static_cast<double>(height * width);
  for (int attempt = 0; attempt < 10; ++attempt) {
    double part = area * (low + (high - low) * stream.uniform());
    double aspect = std::exp(std::log(stretch) * (2.0 * stream.uniform() - 1.0));
    auto tall = static_cast<int64_t>(std::llround(std::sqrt(part * aspect)));
    auto wide = static_cast<int64_t>(std::llround(std::sqrt(part / aspect)));
    if (tall < 1 || wide < 1 || tall > height || wide > width) continue;
    int64_t top = stream.below(static_cast<uint32_t>(height - tall + 1));
    int64_t left = stream.below(static_cast<uint32_t>(width - wide + 1));
    return {top, left, tall, wide};
  }
  return {};
}

void make_gray(uint8_t* pixels, int64_t count) {
  for (int64_t i = 0; i < count; ++i, pixels += 3) {
    // In thousandths, so that the sum is exact.
    int gray = (299 * pixels[0] + 587 * pixels[1] + 114 * pixels[2] + 500) / 1000;
    pixels[0] = pixels[1] = pixels[2] = static_cast<uint8_t>(gray);
  }
}

void erase_rectangle(float* image, int64_t width, int64_t channels, const PixelRectangle& rectangle) {
  for (int64_t y = rectangle.top; y < rectangle.top + rectangle.height; ++y) {
    std::fill_n(image + (y * width + rectangle.left) * channels, rectangle.width * channels, 0.0f);
  }
}

}  // namespace trireme
