#include "data/transform_resample.h"

#include <algorithm>
#include <cmath>

namespace trireme {
namespace {

void add_row(const uint8_t* __restrict in, int64_t values, float weight, float* __restrict sum) {
  for (int64_t i = 0; i < values; ++i) sum[i] += weight * static_cast<float>(in[i]);
}

uint8_t rounded(float value) { return static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f)); }

// One output row from one row of floats. The number of channels is a constant where it is a common one.
template <int fixed_channels>
void combine_columns(const float* row, const AxisTaps& columns, int64_t any_channels, uint8_t* out) {
  const int64_t channels = fixed_channels > 0 ? fixed_channels : any_channels;
  for (const AxisTaps::Span& span : columns.spans) {
    const float* from = row + span.first * channels;
    const float* weights = columns.weights.data() + span.weights;
    for (int64_t c = 0; c < channels; ++c) {
      float sum = 0;
      for (int32_t t = 0; t < span.count; ++t) sum += weights[t] * from[t * channels + c];
      *out++ = rounded(sum);
    }
  }
}

}  // namespace

void AxisTaps::make(int64_t input, int64_t output) {
  spans.clear();
  weights.clear();
  const double scale = static_cast<double>(input) / static_cast<double>(output);
  const double reach = std::max(1.0, scale);
  for (int64_t place = 0; place < output; ++place) {
    const double center = (static_cast<double>(place) + 0.5) * scale - 0.5;
    int64_t first = std::max<int64_t>(0, static_cast<int64_t>(std::ceil(center - reach)));
    int64_t last = std::min(input - 1, static_cast<int64_t>(std::floor(center + reach)));
    Span span{static_cast<int32_t>(first), 0, static_cast<int32_t>(weights.size())};
    double sum = 0;
    for (int64_t i = first; i <= last; ++i) {
      double weight = std::max(0.0, 1.0 - std::abs(static_cast<double>(i) - center) / reach);
      weights.push_back(static_cast<float>(weight));
      sum += weight;
      ++span.count;
    }
    for (int32_t t = 0; t < span.count; ++t) {
      float& weight = weights[static_cast<size_t>(span.weights + t)];
      weight = static_cast<float>(weight / sum);
    }
    spans.push_back(span);
  }
}

// Rows first: long loops over whole rows, and only as many rows of floats as the output has.
void resample(const PixelWindow& in, const AxisTaps& rows, const AxisTaps& columns, std::vector<float>& row,
              std::vector<uint8_t>& out) {
  const int64_t values = in.width * in.channels;
  const auto out_values = static_cast<int64_t>(columns.spans.size()) * in.channels;
  row.resize(static_cast<size_t>(values));
  out.resize(rows.spans.size() * static_cast<size_t>(out_values));
  uint8_t* target = out.data();
  for (const AxisTaps::Span& span : rows.spans) {
    std::fill(row.begin(), row.end(), 0.0f);
    for (int32_t t = 0; t < span.count; ++t) {
      add_row(in.pixels + (span.first + t) * in.row_bytes, values,
              rows.weights[static_cast<size_t>(span.weights + t)], row.data());
    }
    if (in.channels == 1) {
      combine_columns<1>(row.data(), columns, in.channels, target);
    } else if (in.channels == 3) {
      combine_columns<3>(row.data(), columns, in.channels, target);
    } else {
      combine_columns<0>(row.data(), columns, in.channels, target);
    }
    target += out_values;
  }
}

void resample(const PixelWindow& in, int64_t height, int64_t width, ResampleScratch& scratch,
              std::vector<uint8_t>& out) {
  scratch.rows.make(in.height, height);
  scratch.columns.make(in.width, width);
  resample(in, scratch.rows, scratch.columns, scratch.row, out);
}

}  // namespace trireme
