// What happens to pixels where they are: losing their colour, being erased.
#pragma once

#include <cstdint>

#include "base/rng.h"

namespace trireme {

// A rectangle in an image; nothing where it has no height.
struct PixelRectangle {
  int64_t top = 0, left = 0, height = 0, width = 0;
};

// A rectangle of `low` to `high` of the area, uniformly, whose height / width is between 1 / stretch and
// stretch, uniformly in the logarithm, anywhere in height x width. Drawn anew where it does not fit, ten
// times at most; then it has no height.
PixelRectangle draw_rectangle(RandomStream& stream, int64_t height, int64_t width, double low, double high,
                              double stretch);

// RGB pixels become grey: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded, in all three channels.
void make_gray(uint8_t* pixels, int64_t count);

// Puts 0 into a rectangle of an image (height, width, channels).
void erase_rectangle(float* image, int64_t width, int64_t channels, const PixelRectangle& rectangle);

}  // namespace trireme
