// Convolutions with few channels, where neither the library's vectors of channels nor a matrix unit's tiles
// would be full: a vector holds the same value of many images instead,
//
//   lanes[pixel][channel][image], 2 vectors of images (KernelSet::images) a value.
#pragma once

#include <cstdint>

namespace trireme::cpu {

// y[i, j, o] = sum over taps and channels of x[i stride - top + tap's row, j stride - left + tap's column, c]
// times weights[tap * tap_stride + c * channel_stride + o * output_stride], taps outside of the image left
// out; then a bias (or null) is added, and relu follows if asked. x and y lie in lanes; strides of the
// weights may be negative.
struct FewChannelsTask {
  const float* x;
  int64_t height, width, channels;
  const float* weights;
  int64_t tap_stride, channel_stride, output_stride;
  int64_t kernel_height, kernel_width, stride, top, left;
  const float* bias;
  bool relu;
  int64_t row;  // of y, computed by this task
  int64_t out_width, outputs;
  float* y;  // that row
};

// gradient[tap][channel][output] = the sum over results and images of x times dy, both in lanes; x as above,
// but with a border of zeros (so that every tap is inside): its extents count the border.
struct FewChannelsWeightsTask {
  const float* x;
  int64_t width, channels;
  const float* dy;
  int64_t out_height, out_width, outputs;
  int64_t kernel_height, kernel_width, stride;
  float* gradient;
};

// `count` values in a row of each of `images` images, image_stride apart, to or from lanes; images that are
// not there are zeros in lanes.
struct LanesTask {
  float* images_at;
  int64_t image_stride, images, count;
  float* lanes;
};

}  // namespace trireme::cpu
