#include "data/transform.h"

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"
#include "data/transform_rotate.h"

namespace trireme {
namespace {

// Each family of transforms has a stream of its own.
enum class Family : uint64_t { shift_and_flip, crop, resized_crop, flip_rows, rotation, gray, erasing };

RandomStream stream_of(Family family, uint64_t seed, int64_t epoch, int64_t sample) {
  uint64_t counter = static_cast<uint64_t>(epoch) | static_cast<uint64_t>(family) << 48;
  return RandomStream(seed, Purpose::augment, counter, static_cast<uint32_t>(sample));
}

void normalise_tile(const uint8_t* __restrict in, size_t values, const float* __restrict scale,
                    const float* __restrict offset, float* __restrict out) {
  for (size_t i = 0; i < values; ++i) out[i] = static_cast<float>(in[i]) * scale[i] + offset[i];
}

}  // namespace

ImageTransform::ImageTransform(const TransformConfig& config, const Shape& image_shape,
                               const std::vector<double>& mean, const std::vector<double>& standard_deviation)
    : stored_shape_(image_shape),
      height_(config.resize > 0 ? config.resize : image_shape[0]),
      width_(config.resize > 0 ? config.resize : image_shape[1]),
      channels_(image_shape[2]),
      output_shape_{config.crop > 0 ? config.crop : height_, config.crop > 0 ? config.crop : width_,
                    channels_},
      resizes_(height_ != image_shape[0] || width_ != image_shape[1]),
      crops_(config.crop > 0),
      config_(config) {
  if (config.crop > std::min(height_, width_)) {
    throw ConfigError(
        "data.transform.crop = {} does not suit images of {} x {} pixels: it must not be larger than their "
        "shorter "
        "side; data.transform.resize enlarges them",
        config.crop, height_, width_);
  }
  int64_t padding = config.random_crop_padding;
  if (padding < 0 || (padding > 0 && padding >= std::min(output_shape_[0], output_shape_[1]))) {
    throw ConfigError(
        "data.transform.random_crop_padding = {} does not suit images of {} x {} pixels: it must be "
        "smaller than their shorter side",
        padding, output_shape_[0], output_shape_[1]);
  }
  if (config.grayscale_probability > 0 && channels_ != 3) {
    throw ConfigError(
        "data.transform.grayscale_probability = {} needs images of three channels, these have {}: leave it "
        "out",
        config.grayscale_probability, channels_);
  }
  if (resizes_) {
    row_taps_.make(image_shape[0], height_);
    column_taps_.make(image_shape[1], width_);
  }
  make_scales(config, mean, standard_deviation);
}

void ImageTransform::make_scales(const TransformConfig& config, const std::vector<double>& mean,
                                 const std::vector<double>& standard_deviation) {
  // A tile is as many pixels as come to about 4096 values: long loops, and the tile stays in the nearest
  // cache.
  constexpr int64_t tile_values = 4096;
  int64_t pixels =
      std::min(output_shape_[0] * output_shape_[1], std::max<int64_t>(1, tile_values / channels_));
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    for (size_t c = 0; c < static_cast<size_t>(channels_); ++c) {
      double deviation = config.normalize && standard_deviation[c] > 0 ? standard_deviation[c] : 1.0;
      double center = config.normalize ? mean[c] : 0.0;
      scale_.push_back(static_cast<float>(1.0 / (255.0 * deviation)));
      offset_.push_back(static_cast<float>(-center / deviation));
    }
  }
}

ImageTransform::Draw ImageTransform::plain() const {
  Draw drawn;
  drawn.top = drawn.left = config_.random_crop_padding;
  drawn.crop_top = (height_ - output_shape_[0]) / 2;
  drawn.crop_left = (width_ - output_shape_[1]) / 2;
  return drawn;
}

ImageTransform::Draw ImageTransform::draw(uint64_t seed, int64_t epoch, int64_t sample) const {
  Draw drawn = plain();
  auto stream = [&](Family family) { return stream_of(family, seed, epoch, sample); };
  if (config_.random_crop_padding > 0 || config_.horizontal_flip) {
    RandomStream draws = stream(Family::shift_and_flip);
    // All three are always drawn, so that turning one augmentation off leaves the other as it was.
    auto offsets = static_cast<uint32_t>(2 * config_.random_crop_padding + 1);
    drawn.top = draws.below(offsets);
    drawn.left = draws.below(offsets);
    bool mirrored = draws.next() >> 31 != 0;
    drawn.flip = config_.horizontal_flip && mirrored;
  }
  if (config_.random_resized_crop) {
    RandomStream draws = stream(Family::resized_crop);
    drawn.resized_crop = draw_rectangle(draws, height_, width_, 0.08, 1.0, 4.0 / 3.0);
    // Nothing fits into images that are very long: all of it then.
    if (drawn.resized_crop.height == 0) drawn.resized_crop = {0, 0, height_, width_};
  } else if (crops_) {
    RandomStream draws = stream(Family::crop);
    drawn.crop_top = draws.below(static_cast<uint32_t>(height_ - output_shape_[0] + 1));
    drawn.crop_left = draws.below(static_cast<uint32_t>(width_ - output_shape_[1] + 1));
  }
  if (config_.vertical_flip) drawn.flip_rows = stream(Family::flip_rows).next() >> 31 != 0;
  if (config_.rotation_degrees > 0) {
    drawn.degrees = config_.rotation_degrees * (2.0 * stream(Family::rotation).uniform() - 1.0);
  }
  if (config_.grayscale_probability > 0) {
    drawn.gray = stream(Family::gray).uniform() < config_.grayscale_probability;
  }
  if (config_.erase_probability > 0) {
    RandomStream draws = stream(Family::erasing);
    if (draws.uniform() < config_.erase_probability) {
      drawn.erased = draw_rectangle(draws, output_shape_[0], output_shape_[1], 0.02, 0.33, 1.0 / 0.3);
    }
  }
  return drawn;
}

// Pixels are put where they belong as bytes (a quarter of the memory of floats), then normalised in one long
// loop, which the compiler vectorises. A step that has nothing to do copies nothing.
void ImageTransform::apply(const uint8_t* in, const Draw& drawn, Scratch& scratch, float* out) const {
  const int64_t height = output_shape_[0], width = output_shape_[1];
  PixelWindow window{in, stored_shape_[0], stored_shape_[1], channels_, stored_shape_[1] * channels_};
  if (resizes_) {
    resample(window, row_taps_, column_taps_, scratch.row, scratch.scaled);
    window = {scratch.scaled.data(), height_, width_, channels_, width_ * channels_};
  }
  if (const PixelRectangle& part = drawn.resized_crop; part.height > 0) {
    window.pixels += part.top * window.row_bytes + part.left * channels_;
    window.height = part.height;
    window.width = part.width;
    resample(window, height, width, scratch.crop, scratch.cropped);
    window = {scratch.cropped.data(), height, width, channels_, width * channels_};
  } else {
    window.pixels += drawn.crop_top * window.row_bytes + drawn.crop_left * channels_;
    window.height = height;
    window.width = width;
  }
  const int64_t padding = config_.random_crop_padding;
  Placing placing{drawn.top - padding, drawn.left - padding, drawn.flip, drawn.flip_rows};
  // Grey is made in place, so it needs pixels that are not the file's.
  if (placing.moves() || !window.is_whole() || (drawn.gray && drawn.degrees == 0)) {
    place_pixels(window, placing, scratch.moved);
    window.pixels = scratch.moved.data();
  }
  if (drawn.degrees != 0) {
    rotate_pixels(window.pixels, height, width, channels_, drawn.degrees, scratch.turned);
    window.pixels = scratch.turned.data();
  }
  if (drawn.gray) {
    make_gray(drawn.degrees != 0 ? scratch.turned.data() : scratch.moved.data(), height * width);
  }
  normalise(window.pixels, out);
  if (drawn.erased.height > 0) erase_rectangle(out, width, channels_, drawn.erased);
}

void ImageTransform::normalise(const uint8_t* in, float* out) const {
  auto values = static_cast<size_t>(output_shape_.elements());
  for (size_t done = 0; done < values; done += scale_.size()) {
    normalise_tile(in + done, std::min(scale_.size(), values - done), scale_.data(), offset_.data(),
                   out + done);
  }
}

}  // namespace trireme
