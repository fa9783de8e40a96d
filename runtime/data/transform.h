// From stored pixels to what a network reads: crop, flip, normalise. What happens to a sample is a function
// of (seed, epoch, sample), so it depends neither on ranks nor on threads nor on the batch.
#pragma once

#include <cstdint>
#include <vector>

#include "base/shape.h"
#include "config/config.h"

namespace trireme {

// Float images (H, W, C) from uint8 ones of the same shape. May be called from any number of threads.
class ImageTransform {
 public:
  // mean and standard_deviation: one a channel, of pixel / 255.
  // Throws ConfigError when the padding is not smaller than the image.
  ImageTransform(const TransformConfig& config, const Shape& image_shape, const std::vector<double>& mean,
                 const std::vector<double>& standard_deviation);

  // (H, W, C) of what apply() writes.
  const Shape& output_shape() const { return output_shape_; }

  // What is drawn for a sample: where the crop begins in the image padded by random_crop_padding black pixels
  // on every side ((padding, padding) is the image itself), and whether it is then mirrored left to right.
  struct Draw {
    int64_t top;
    int64_t left;
    bool flip;
  };
  Draw draw(uint64_t seed, int64_t epoch, int64_t sample) const;
  // Nothing random: for validation.
  Draw plain() const { return {padding_, padding_, false}; }

  // Memory that calls in a row share; one a thread.
  struct Scratch {
    std::vector<uint8_t> moved;
  };
  // in, out: elements() of the image shape. normalize: (pixel / 255 - mean) / std, else pixel / 255; a
  // channel whose std is 0 (all pixels the same) is only centred.
  void apply(const uint8_t* in, const Draw& drawn, Scratch& scratch, float* out) const;

 private:
  void normalise(const uint8_t* in, float* out) const;

  int64_t height_, width_, channels_;
  int64_t padding_;
  bool flip_;
  Shape output_shape_;
  // One a value of a tile of pixels, so that the loop over it is the same for any number of channels:
  // out = pixel * scale + offset.
  std::vector<float> scale_;
  std::vector<float> offset_;
};

}  // namespace trireme
