#include "backend/cpu/kernels/set.h"
#include "backend/cpu/kernels/transpose.h"

namespace TRIREME_KERNEL_SPACE {
namespace {

constexpr int64_t group = 2 * lanes;  // images

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

inline float sum_of(Vec v) {
  float total = 0;
  for (int lane = 0; lane < lanes; ++lane) total += v[lane];
  return total;
}

// Results o .. o + count of row `t.row`, position j.
template <int count>
inline void correlate_position(const FewChannelsTask& t, int64_t j, int64_t o) {
  Vec sum[count][2];
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) {
    sum[k][0] = Vec{} + (t.bias == nullptr ? 0.0f : t.bias[o + k]);
    sum[k][1] = sum[k][0];
  }
  int64_t top = t.row * t.stride - t.top, left = j * t.stride - t.left;
  int64_t first_row = top < 0 ? -top : 0, end_row = least(t.kernel_height, t.height - top);
  int64_t first_column = left < 0 ? -left : 0, end_column = least(t.kernel_width, t.width - left);
  for (int64_t row = first_row; row < end_row; ++row) {
    for (int64_t column = first_column; column < end_column; ++column) {
      const float* x = t.x + ((top + row) * t.width + left + column) * t.channels * group;
      const float* w = t.weights + (row * t.kernel_width + column) * t.tap_stride + o * t.output_stride;
      for (int64_t c = 0; c < t.channels; ++c, x += group, w += t.channel_stride) {
        Vec first = load(x), second = load(x + lanes);
#pragma GCC unroll 8
        for (int k = 0; k < count; ++k) {
          float weight = w[k * t.output_stride];
          sum[k][0] += first * weight;
          sum[k][1] += second * weight;
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int k = 0; k < count; ++k) {
    float* y = t.y + (j * t.outputs + o + k) * group;
    store(y, t.relu ? rectify(sum[k][0]) : sum[k][0]);
    store(y + lanes, t.relu ? rectify(sum[k][1]) : sum[k][1]);
  }
}

// The sum over results and images for `columns` taps of a kernel's row and `outputs` outputs from (column, o)
// on.
template <int columns, int outputs>
inline void sum_weights(const FewChannelsWeightsTask& t, int64_t row, int64_t column, int64_t c, int64_t o) {
  Vec sum[columns][outputs];
#pragma GCC unroll 8
  for (int i = 0; i < columns; ++i) {
#pragma GCC unroll 8
    for (int k = 0; k < outputs; ++k) sum[i][k] = Vec{};
  }
  for (int64_t y = 0; y < t.out_height; ++y) {
    const float* x = t.x + (((y * t.stride + row) * t.width + column) * t.channels + c) * group;
    const float* dy = t.dy + (y * t.out_width * t.outputs + o) * group;
    for (int64_t j = 0; j < t.out_width; ++j, x += t.stride * t.channels * group, dy += t.outputs * group) {
      for (int64_t half = 0; half < group; half += lanes) {
        Vec gradient[outputs];
#pragma GCC unroll 8
        for (int k = 0; k < outputs; ++k) gradient[k] = load(dy + k * group + half);
#pragma GCC unroll 8
        for (int i = 0; i < columns; ++i) {
          Vec value = load(x + i * t.channels * group + half);
#pragma GCC unroll 8
          for (int k = 0; k < outputs; ++k) sum[i][k] += value * gradient[k];
        }
      }
    }
  }
  for (int i = 0; i < columns; ++i) {
    for (int k = 0; k < outputs; ++k) {
      t.gradient[((row * t.kernel_width + column + i) * t.channels + c) * t.outputs + o + k] =
          sum_of(sum[i][k]);
    }
  }
}

template <int columns>
inline void sum_weights_of_columns(const FewChannelsWeightsTask& t, int64_t row, int64_t column, int64_t c) {
  int64_t o = 0;
  for (; o + 4 <= t.outputs; o += 4) sum_weights<columns, 4>(t, row, column, c, o);
  if (o + 2 <= t.outputs) {
    sum_weights<columns, 2>(t, row, column, c, o);
    o += 2;
  }
  if (o < t.outputs) sum_weights<columns, 1>(t, row, column, c, o);
}

}  // namespace

void few_channels(const FewChannelsTask& t) {
  for (int64_t j = 0; j < t.out_width; ++j) {
    int64_t o = 0;
    for (; o + 6 <= t.outputs; o += 6) correlate_position<6>(t, j, o);
    switch (t.outputs - o) {
      case 5:
        correlate_position<5>(t, j, o);
        break;
      case 4:
        correlate_position<4>(t, j, o);
        break;
      case 3:
        correlate_position<3>(t, j, o);
        break;
      case 2:
        correlate_position<2>(t, j, o);
        break;
      case 1:
        correlate_position<1>(t, j, o);
        break;
      default:
        break;
    }
  }
}

void few_channels_weights(const FewChannelsWeightsTask& t) {
  for (int64_t row = 0; row < t.kernel_height; ++row) {
    for (int64_t c = 0; c < t.channels; ++c) {
      int64_t column = 0;
      for (; column + 5 <= t.kernel_width; column += 5) sum_weights_of_columns<5>(t, row, column, c);
      for (; column + 3 <= t.kernel_width; column += 3) sum_weights_of_columns<3>(t, row, column, c);
      if (column + 2 <= t.kernel_width) {
        sum_weights_of_columns<2>(t, row, column, c);
        column += 2;
      }
      if (column < t.kernel_width) sum_weights_of_columns<1>(t, row, column, c);
    }
  }
}

void lane_sums(const float* values, int64_t pixels, int64_t channels, float* sums) {
  for (int64_t c = 0; c < channels; ++c) {
    Vec sum{};
    for (int64_t p = 0; p < pixels; ++p) {
      const float* at = values + (p * channels + c) * group;
      sum += load(at) + load(at + lanes);
    }
    sums[c] = sum_of(sum);
  }
}

void images_to_lanes(const LanesTask& t) {
  for (int64_t half = 0; half < group; half += lanes) {
    int64_t images = least(lanes, t.images - half);
    for (int64_t i = 0; i < t.count; i += lanes) {
      int64_t count = least(lanes, t.count - i);
      Vec block[lanes];
      for (int64_t image = 0; image < lanes; ++image) {
        const float* from = t.images_at + (half + image) * t.image_stride + i;
        block[image] = image < images ? load_partial(from, static_cast<int>(count)) : Vec{};
      }
      transpose(block);
      for (int64_t k = 0; k < count; ++k) store(t.lanes + (i + k) * group + half, block[k]);
    }
  }
}

void lanes_to_images(const LanesTask& t) {
  for (int64_t half = 0; half < group; half += lanes) {
    int64_t images = least(lanes, t.images - half);
    for (int64_t i = 0; i < t.count; i += lanes) {
      int64_t count = least(lanes, t.count - i);
      Vec block[lanes];
      for (int64_t k = 0; k < lanes; ++k) {
        block[k] = k < count ? load(t.lanes + (i + k) * group + half) : Vec{};
      }
      transpose(block);
      for (int64_t image = 0; image < images; ++image) {
        store_partial(t.images_at + (half + image) * t.image_stride + i, block[image],
                      static_cast<int>(count));
      }
    }
  }
}

}  // namespace TRIREME_KERNEL_SPACE
