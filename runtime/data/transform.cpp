#include "data/transform.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/rng.h"

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

void normalise_tile(const uint8_t* __restrict in, size_t values, const float* __restrict scale,
                    const float* __restrict offset, float* __restrict out) {
  for (size_t i = 0; i < values; ++i) out[i] = static_cast<float>(in[i]) * scale[i] + offset[i];
}

}  // namespace

ImageTransform::ImageTransform(const TransformConfig& config, const Shape& image_shape,
                               const std::vector<double>& mean, const std::vector<double>& standard_deviation)
    : height_(image_shape[0]),
      width_(image_shape[1]),
      channels_(image_shape[2]),
      padding_(config.random_crop_padding),
      flip_(config.horizontal_flip),
      output_shape_(image_shape) {
  if (padding_ < 0 || (padding_ > 0 && padding_ >= std::min(height_, width_))) {
    throw ConfigError(
        "data.transform.random_crop_padding = {} does not suit images of {} x {} pixels: it must be "
        "smaller than their shorter side",
        padding_, height_, width_);
  }
  // A tile is as many pixels as come to about 4096 values: long loops, and the tile stays in the nearest
  // cache.
  constexpr int64_t tile_values = 4096;
  int64_t pixels = std::min(height_ * width_, std::max<int64_t>(1, tile_values / channels_));
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    for (size_t c = 0; c < static_cast<size_t>(channels_); ++c) {
      double deviation = config.normalize && standard_deviation[c] > 0 ? standard_deviation[c] : 1.0;
      double center = config.normalize ? mean[c] : 0.0;
      scale_.push_back(static_cast<float>(1.0 / (255.0 * deviation)));
      offset_.push_back(static_cast<float>(-center / deviation));
    }
  }
}

ImageTransform::Draw ImageTransform::draw(uint64_t seed, int64_t epoch, int64_t sample) const {
  if (padding_ == 0 && !flip_) return {0, 0, false};
  RandomStream stream(seed, Purpose::augment, static_cast<uint64_t>(epoch), static_cast<uint32_t>(sample));
  // All three are always drawn, so that turning one augmentation off leaves the other as it was.
  auto offsets = static_cast<uint32_t>(2 * padding_ + 1);
  int64_t top = stream.below(offsets);
  int64_t left = stream.below(offsets);
  bool mirrored = stream.next() >> 31 != 0;
  return {top, left, flip_ && mirrored};
}

// Two passes: the pixels are put where they belong as bytes (a quarter of the memory of floats), then
// normalised in one long loop, which the compiler vectorises.
void ImageTransform::apply(const uint8_t* in, const Draw& drawn, Scratch& scratch, float* out) const {
  // Row y of the output is row y + down of the input, column x is column x + right; outside lies padding.
  int64_t down = drawn.top - padding_;
  int64_t right = drawn.left - padding_;
  if (down == 0 && right == 0 && !drawn.flip) {
    normalise(in, out);
    return;
  }
  int64_t row_bytes = width_ * channels_;
  std::vector<uint8_t>& moved = scratch.moved;
  moved.assign(static_cast<size_t>(height_ * row_bytes), 0);
  int64_t begin = std::max<int64_t>(0, -right);  // columns [begin, end) come from the image
  int64_t end = std::min(width_, width_ - right);
  int64_t first = std::max<int64_t>(0, -down);  // and so do rows [first, last)
  int64_t last = std::min(height_, height_ - down);
  int64_t to = drawn.flip ? width_ - end : begin;
  for (int64_t y = first; y < last; ++y) {
    const uint8_t* source = in + (y + down) * row_bytes + (begin + right) * channels_;
    uint8_t* target = moved.data() + y * row_bytes + to * channels_;
    if (!drawn.flip) {
      std::copy_n(source, (end - begin) * channels_, target);
    } else if (channels_ == 1) {
      copy_reversed(source, end - begin, target);
    } else {
      for (int64_t x = end - begin - 1; x >= 0; --x, target += channels_) {
        std::copy_n(source + x * channels_, channels_, target);
      }
    }
  }
  normalise(moved.data(), out);
}

void ImageTransform::normalise(const uint8_t* in, float* out) const {
  auto values = static_cast<size_t>(height_ * width_ * channels_);
  for (size_t done = 0; done < values; done += scale_.size()) {
    normalise_tile(in + done, std::min(scale_.size(), values - done), scale_.data(), offset_.data(),
                   out + done);
  }
}

}  // namespace trireme
