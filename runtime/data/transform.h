// From stored pixels to what a network reads. What happens to a sample is a function of (seed, epoch,
// sample), so it depends neither on ranks nor on threads nor on the batch.
//
// Always in this order; what is random is for training alone:
//   1. resize               the whole image to a square
//   2. random_resized_crop  8 to 100 % of the area at an aspect of 3/4 to 4/3, scaled to the size of the
//                           output (Szegedy et al., arXiv 1409.4842)
//      or crop              a square from anywhere; from the middle in validation (also after 2.)
//   3. random_crop_padding  a shift over black
//   4. flips                left to right, then top to bottom
//   5. rotation             about the middle over black
//   6. grayscale
//   7. normalise            bytes become floats
//   8. random erasing       a rectangle of 2 to 33 % of the area at an aspect of 0.3 to 3.3 becomes 0: the
//   mean
//                           colour where images are normalised, else black (Zhong et al., arXiv 1708.04896)
// Up to 6. pixels are bytes, rounded to the nearest after each step that mixes them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/shape.h"
#include "config/config.h"
#include "data/transform_colour.h"
#include "data/transform_resample.h"

namespace trireme {

// Float images from uint8 ones. May be called from any number of threads.
class ImageTransform {
 public:
  // image_shape: (H, W, C) as stored. mean and standard_deviation: one a channel, of pixel / 255.
  // Throws ConfigError when a transform does not suit the images: a crop or a padding too large, grayscale
  // without three channels.
  ImageTransform(const TransformConfig& config, const Shape& image_shape, const std::vector<double>& mean,
                 const std::vector<double>& standard_deviation);

  // (H, W, C) of what apply() writes.
  const Shape& output_shape() const { return output_shape_; }

  // What is drawn for a sample. Each family of transforms draws from a stream of its own, so that turning one
  // on or off leaves the others as they were.
  struct Draw {
    // Where the crop begins in the image padded by random_crop_padding black pixels on every side ((padding,
    // padding) is the image itself), and whether it is then mirrored left to right.
    int64_t top = 0;
    int64_t left = 0;
    bool flip = false;
    bool flip_rows = false;               // top to bottom
    int64_t crop_top = 0, crop_left = 0;  // of `crop`
    PixelRectangle resized_crop = {};     // nothing: not drawn
    double degrees = 0;                   // counter-clockwise
    bool gray = false;
    PixelRectangle erased = {};  // nothing: not erased
  };
  Draw draw(uint64_t seed, int64_t epoch, int64_t sample) const;
  // Nothing random: for validation.
  Draw plain() const;

  // Memory that calls in a row share; one a thread.
  struct Scratch {
    std::vector<uint8_t> scaled, cropped, moved, turned;
    std::vector<float> row;
    ResampleScratch crop;
  };
  // in: elements() of the stored shape; out: of the output shape. normalize: (pixel / 255 - mean) / std, else
  // pixel / 255; a channel whose std is 0 (all pixels the same) is only centred.
  void apply(const uint8_t* in, const Draw& drawn, Scratch& scratch, float* out) const;

 private:
  void make_scales(const TransformConfig& config, const std::vector<double>& mean,
                   const std::vector<double>& standard_deviation);
  void normalise(const uint8_t* in, float* out) const;

  Shape stored_shape_;
  int64_t height_, width_, channels_;  // after resize
  Shape output_shape_;
  bool resizes_, crops_;
  TransformConfig config_;
  AxisTaps row_taps_, column_taps_;  // of resize
  // One a value of a tile of pixels, so that the loop over it is the same for any number of channels:
  // out = pixel * scale + offset.
  std::vector<float> scale_;
  std::vector<float> offset_;
};

}  // namespace trireme
