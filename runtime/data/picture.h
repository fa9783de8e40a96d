// One PNG or JPEG file as pixels, by libpng and libjpeg-turbo.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace trireme {

struct Picture {
  int64_t height = 0, width = 0;
  int64_t channels = 0;         // 1 or 3
  std::vector<uint8_t> pixels;  // (height, width, channels)
};

// What a file may be at most; a file that unpacks to more is refused before memory is taken for it.
inline constexpr int64_t largest_picture_pixels = int64_t{1} << 26;
inline constexpr int64_t largest_picture_file = int64_t{1} << 28;  // bytes

// The file's own channels: grey stays grey, palettes and colours become RGB, 16 bits become 8, transparency
// is laid on black; EXIF rotation is not applied. The format is told by the first bytes, not by the name.
// DataError naming the file and the library's reason: neither PNG nor JPEG, cut short or damaged, too large,
// CMYK.
Picture read_picture(const std::filesystem::path& path);

// With `channels` 1 or 3: grey is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601, as JPEG's), RGB of grey repeats
// it.
Picture with_channels(Picture picture, int64_t channels);

// Scaled to (height, width), whatever the aspect: linear between pixels when enlarging, the triangle filter
// as wide as the pixels that fall together when reducing. Every machine gives the same bytes.
Picture resized(const Picture& picture, int64_t height, int64_t width);

}  // namespace trireme
