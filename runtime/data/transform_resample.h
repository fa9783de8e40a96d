// Scaling: bilinear with half-pixel centres, antialiased when shrinking.
#pragma once

#include <cstdint>
#include <vector>

#include "data/transform_place.h"

namespace trireme {

// What each place along one axis is a weighted mean of: `count` input places from `first` on. The weights are
// a triangle around the place's centre ((place + 1/2) * input / output - 1/2), one input place wide when
// enlarging and input / output wide when shrinking; what lies outside of the input counts for nothing.
struct AxisTaps {
  struct Span {
    int32_t first, count, weights;  // the weights begin there
  };
  std::vector<Span> spans;  // one an output place
  std::vector<float> weights;

  void make(int64_t input, int64_t output);
};

// Memory that calls in a row share.
struct ResampleScratch {
  AxisTaps rows, columns;
  std::vector<float> row;
};

// Scales `in` by ready-made taps to (rows.spans.size(), columns.spans.size(), channels) bytes, rounded to the
// nearest; `row` is scratch.
void resample(const PixelWindow& in, const AxisTaps& rows, const AxisTaps& columns, std::vector<float>& row,
              std::vector<uint8_t>& out);

// The same to height x width, making the taps.
void resample(const PixelWindow& in, int64_t height, int64_t width, ResampleScratch& scratch,
              std::vector<uint8_t>& out);

}  // namespace trireme
