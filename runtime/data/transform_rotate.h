// Turning by any angle.
#pragma once

#include <cstdint>
#include <vector>

namespace trireme {

// Turns an image (height, width, channels) counter-clockwise by `degrees` about its middle: each output pixel
// is read, bilinearly, from where it was; outside of the image lies black. Rounded to the nearest byte.
void rotate_pixels(const uint8_t* in, int64_t height, int64_t width, int64_t channels, double degrees,
                   std::vector<uint8_t>& out);

}  // namespace trireme
