#include "data/picture.h"

#include <png.h>

#include <jerror.h>
#include <jpeglib.h>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it before itself

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/atomic_file.h"
#include "base/error.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

void check_size(const fs::path& path, int64_t height, int64_t width) {
  if (height > 0 && width > 0 && height <= largest_picture_pixels / width) return;
  throw DataError("{}: {} x {} pixels; from 1 to {} can be read", path.string(), width, height,
                  largest_picture_pixels);
}

Picture read_png(const fs::path& path, const std::string& bytes) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  struct Release {
    png_image* image;
    ~Release() { png_image_free(image); }
  } release{&image};
  if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0) {
    throw DataError("{}: damaged PNG file: {}", path.string(), image.message);
  }
  check_size(path, image.height, image.width);
  bool color = (image.format & PNG_FORMAT_FLAG_COLOR) != 0;
  image.format = color ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  Picture picture{image.height, image.width, color ? 3 : 1, {}};
  picture.pixels.resize(PNG_IMAGE_SIZE(image));
  png_color black{0, 0, 0};
  if (png_image_finish_read(&image, &black, picture.pixels.data(), 0, nullptr) == 0) {
    throw DataError("{}: damaged PNG file: {}", path.string(), image.message);
  }
  return picture;
}

// libjpeg reports errors through a function that must not return: back to setjmp, with the message kept.
struct JpegErrors {
  jpeg_error_mgr manager;
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void leave_jpeg(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->back, 1);
}

// What libjpeg only warns of is damage, and what it makes up in its place no picture; bytes between segments
// are harmless.
void judge_jpeg_message(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code != JWRN_EXTRANEOUS_DATA) leave_jpeg(info);
}

enum class JpegStep { done, failed, too_large };

// All of it in one function without destructors, since longjmp passes over them. `picture` gets its size
// first and its memory by `allocate`.
JpegStep decode_jpeg(const std::string& bytes, JpegErrors& errors, Picture& picture) {
  jpeg_decompress_struct info;
  std::memset(&info, 0, sizeof info);
  info.err = jpeg_std_error(&errors.manager);
  errors.manager.error_exit = leave_jpeg;
  errors.manager.emit_message = judge_jpeg_message;
  if (setjmp(errors.back) != 0) {
    jpeg_destroy_decompress(&info);
    return JpegStep::failed;
  }
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&info, TRUE);
  picture.height = info.image_height;
  picture.width = info.image_width;
  if (picture.height > largest_picture_pixels / picture.width) {
    jpeg_destroy_decompress(&info);
    return JpegStep::too_large;
  }
  info.out_color_space = info.jpeg_color_space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
  info.dct_method = JDCT_ISLOW;  // the exact one
  picture.channels = info.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3;
  jpeg_start_decompress(&info);
  picture.pixels.resize(static_cast<size_t>(picture.height * picture.width * picture.channels));
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = picture.pixels.data() + static_cast<size_t>(info.output_scanline) *
                                               static_cast<size_t>(picture.width * picture.channels);
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return JpegStep::done;
}

Picture read_jpeg(const fs::path& path, const std::string& bytes) {
  JpegErrors errors;
  Picture picture;
  switch (decode_jpeg(bytes, errors, picture)) {
    case JpegStep::failed:
      throw DataError("{}: damaged or unreadable JPEG file: {}", path.string(), errors.message);
    case JpegStep::too_large:
      check_size(path, picture.height, picture.width);
      break;
    case JpegStep::done:
      break;
  }
  return picture;
}

// For each of `to` places: which of `from` places it is made of, and by which weights (their sum is 1).
struct Filter {
  struct Tap {
    int64_t first;
    std::vector<float> weights;
  };
  std::vector<Tap> taps;

  Filter(int64_t from, int64_t to) {
    double scale = static_cast<double>(from) / static_cast<double>(to);
    double reach = std::max(scale, 1.0);
    for (int64_t i = 0; i < to; ++i) {
      double center = (static_cast<double>(i) + 0.5) * scale;
      auto first = std::max<int64_t>(0, static_cast<int64_t>(std::floor(center - reach)));
      auto end = std::min(from, static_cast<int64_t>(std::ceil(center + reach)));
      std::vector<double> weights;
      double sum = 0;
      for (int64_t k = first; k < end; ++k) {
        double weight = std::max(0.0, 1.0 - std::abs(static_cast<double>(k) + 0.5 - center) / reach);
        weights.push_back(weight);
        sum += weight;
      }
      Tap tap{first, {}};
      for (double weight : weights) tap.weights.push_back(static_cast<float>(weight / sum));
      taps.push_back(std::move(tap));
    }
  }
};

}  // namespace

Picture read_picture(const fs::path& path) {
  std::error_code error;
  auto size = fs::file_size(path, error);
  if (!error && size > static_cast<uintmax_t>(largest_picture_file)) {
    throw DataError("{}: {} bytes; at most {} can be read", path.string(), size, largest_picture_file);
  }
  std::string bytes = read_file(path);
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return read_png(path, bytes);
  if (bytes.starts_with("\xff\xd8\xff")) return read_jpeg(path, bytes);
  throw DataError("{}: {}", path.string(), bytes.empty() ? "an empty file" : "neither a PNG nor a JPEG file");
}

Picture with_channels(Picture picture, int64_t channels) {
  if (picture.channels == channels) return picture;
  Picture other{picture.height, picture.width, channels, {}};
  auto count = static_cast<size_t>(picture.height * picture.width);
  other.pixels.resize(count * static_cast<size_t>(channels));
  const uint8_t* from = picture.pixels.data();
  for (size_t i = 0; i < count; ++i) {
    if (channels == 3) {
      std::fill_n(other.pixels.data() + 3 * i, 3, from[i]);
    } else {
      // In 16-bit fixed point; the weights' sum is 65536.
      const uint8_t* rgb = from + 3 * i;
      other.pixels[i] =
          static_cast<uint8_t>((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
    }
  }
  return other;
}

// Along the rows first, then along the columns: each output is a short weighted sum.
Picture resized(const Picture& picture, int64_t height, int64_t width) {
  if (picture.height == height && picture.width == width) return picture;
  const int64_t channels = picture.channels;
  Filter across(picture.width, width), down(picture.height, height);
  std::vector<float> narrow(static_cast<size_t>(picture.height * width * channels));
  for (int64_t y = 0; y < picture.height; ++y) {
    const uint8_t* row = picture.pixels.data() + y * picture.width * channels;
    float* out = narrow.data() + y * width * channels;
    for (const Filter::Tap& tap : across.taps) {
      for (int64_t c = 0; c < channels; ++c) {
        float sum = 0;
        for (size_t k = 0; k < tap.weights.size(); ++k) {
          sum +=
              tap.weights[k] * static_cast<float>(row[(tap.first + static_cast<int64_t>(k)) * channels + c]);
        }
        *out++ = sum;
      }
    }
  }
  Picture result{height, width, channels, {}};
  result.pixels.resize(static_cast<size_t>(height * width * channels));
  std::vector<float> sums(static_cast<size_t>(width * channels));
  for (int64_t y = 0; y < height; ++y) {
    const Filter::Tap& tap = down.taps[static_cast<size_t>(y)];
    std::fill(sums.begin(), sums.end(), 0.0F);
    for (size_t k = 0; k < tap.weights.size(); ++k) {
      const float* row = narrow.data() + (tap.first + static_cast<int64_t>(k)) * width * channels;
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += tap.weights[k] * row[i];
    }
    uint8_t* out = result.pixels.data() + y * width * channels;
    for (float sum : sums) *out++ = static_cast<uint8_t>(std::clamp(sum + 0.5F, 0.0F, 255.0F));
  }
  return result;
}

}  // namespace trireme
