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
  // augment = false leaves out crop and flip (validation).
  // Throws ConfigError when the padding is not smaller than the image.
  ImageTransform(const TransformConfig& config, const Shape& image_shape, const std::vector<double>& mean,
                 const std::vector<double>& standard_deviation, uint64_t seed, bool augment);

  // What is drawn for a sample: the crop's offset into the image padded by random_crop_padding pixels of 0 on
  // every side (padding, padding) is the image itself), and whether it is mirrored left to right.
  struct Draw {
    int64_t top;
    int64_t left;
    bool flip;
  };
  Draw draw(int64_t epoch, int64_t sample) const;

  // out, in: elements() of the image shape. normalize: (pixel / 255 - mean) / std, else pixel / 255.
  void apply(const uint8_t* in, int64_t epoch, int64_t sample, float* out) const;

 private:
  void copy_row(const uint8_t* in, int64_t pixels, bool flip, float* out) const;
  void fill_row(int64_t pixels, float* out) const;

  int64_t height_, width_, channels_;
  int64_t padding_;
  bool flip_;
  uint64_t seed_;
  std::vector<float> table_;  // (256, channels): the output of every pixel value
};

}  // namespace trireme
