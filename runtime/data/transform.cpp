#include "data/transform.h"

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"

namespace trireme {

ImageTransform::ImageTransform(const TransformConfig& config, const Shape& image_shape,
                               const std::vector<double>& mean, const std::vector<double>& standard_deviation,
                               uint64_t seed, bool augment)
    : height_(image_shape[0]),
      width_(image_shape[1]),
      channels_(image_shape[2]),
      padding_(augment ? config.random_crop_padding : 0),
      flip_(augment && config.horizontal_flip),
      seed_(seed) {
  if (padding_ < 0 || (padding_ > 0 && padding_ >= std::min(height_, width_))) {
    throw ConfigError(
        "data.transform.random_crop_padding = {} does not suit images of {} x {} pixels: it must be "
        "smaller than their shorter side",
        padding_, height_, width_);
  }
  for (int64_t x = 0; x < width_; ++x) {
    for (size_t c = 0; c < static_cast<size_t>(channels_); ++c) {
      double deviation = config.normalize && standard_deviation[c] > 0 ? standard_deviation[c] : 1.0;
      double center = config.normalize ? mean[c] : 0.0;
      scale_.push_back(static_cast<float>(1.0 / (255.0 * deviation)));
      offset_.push_back(static_cast<float>(-center / deviation));
    }
  }
}

ImageTransform::Draw ImageTransform::draw(int64_t epoch, int64_t sample) const {
  if (padding_ == 0 && !flip_) return {0, 0, false};
  RandomStream stream(seed_, Purpose::augment, static_cast<uint64_t>(epoch), static_cast<uint32_t>(sample));
  // All three are always drawn, so that turning one augmentation off leaves the other as it was.
  auto offsets = static_cast<uint32_t>(2 * padding_ + 1);
  int64_t top = stream.below(offsets);
  int64_t left = stream.below(offsets);
  bool mirrored = stream.next() >> 31 != 0;
  return {top, left, flip_ && mirrored};
}

void ImageTransform::apply(const uint8_t* in, const Draw& drawn, float* out) const {
  int64_t row_values = width_ * channels_;
  // Row y of the output is row y + down of the input, column x is column x + right; outside lies padding.
  int64_t down = drawn.top - padding_;
  int64_t right = drawn.left - padding_;
  if (right == 0 && !drawn.flip) {
    for (int64_t y = 0; y < height_; ++y) {
      int64_t from = y + down;
      if (from < 0 || from >= height_) {
        std::copy(offset_.begin(), offset_.end(), out + y * row_values);
      } else {
        normalise_row(in + from * row_values, out + y * row_values);
      }
    }
    return;
  }
  std::vector<uint8_t> row(static_cast<size_t>(row_values));
  int64_t begin = std::max<int64_t>(0, -right);  // output columns [begin, end) come from the image
  int64_t end = std::min(width_, width_ - right);
  for (int64_t y = 0; y < height_; ++y) {
    int64_t from = y + down;
    if (from < 0 || from >= height_) {
      std::copy(offset_.begin(), offset_.end(), out + y * row_values);
      continue;
    }
    std::fill(row.begin(), row.end(), uint8_t{0});
    const uint8_t* source = in + (from * width_ + begin + right) * channels_;
    if (!drawn.flip) {
      std::copy_n(source, (end - begin) * channels_, row.begin() + begin * channels_);
    } else if (channels_ == 1) {
      std::reverse_copy(source, source + (end - begin), row.begin() + (width_ - end));
    } else {
      for (int64_t x = begin; x < end; ++x, source += channels_) {
        std::copy_n(source, channels_, row.begin() + (width_ - 1 - x) * channels_);
      }
    }
    normalise_row(row.data(), out + y * row_values);
  }
}

void ImageTransform::normalise_row(const uint8_t* in, float* out) const {
  const float* scale = scale_.data();
  const float* offset = offset_.data();
  size_t values = scale_.size();
  for (size_t i = 0; i < values; ++i) out[i] = static_cast<float>(in[i]) * scale[i] + offset[i];
}

}  // namespace trireme
