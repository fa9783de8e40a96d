// Convolutions with a vector of images (kernels/few_channels.cpp) against plain formulas, for odd sizes and
// every instruction set that this machine has. (Whole ops are compared with the reference backend in
// tests/ops.)
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "backend/cpu/kernels/kernels.h"
#include "base/rng.h"

namespace trireme::cpu {
namespace {

class FewChannels : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    set_ = find_kernels(GetParam());
    if (set_ == nullptr) GTEST_SKIP() << "this processor has no " << GetParam();
    group_ = 2 * set_->lanes;
  }
  // [image][count] as [count][image of the group].
  std::vector<float> to_lanes(std::vector<float>& values, int64_t images, int64_t count) const {
    std::vector<float> lanes(static_cast<size_t>(count * group_), 42.0f);
    set_->images_to_lanes({values.data(), count, images, count, lanes.data()});
    return lanes;
  }
  const KernelSet* set_ = nullptr;
  int64_t group_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Sets, FewChannels, testing::Values("plain", "avx2", "avx512"));

std::vector<float> random(int64_t count, uint64_t seed) {
  RandomStream stream(seed, Purpose::test);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = stream.normal();
  return values;
}

TEST_P(FewChannels, LanesHoldImagesAndZeros) {
  for (int64_t images : {int64_t{1}, int64_t{3}, group_ - 1, group_}) {
    for (int64_t count : {1, 5, 16, 17, 40}) {
      std::vector<float> values = random(images * count, 1), lanes = to_lanes(values, images, count);
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t image = 0; image < group_; ++image) {
          float expected = image < images ? values[static_cast<size_t>(image * count + i)] : 0.0f;
          ASSERT_EQ(lanes[static_cast<size_t>(i * group_ + image)], expected) << images << " " << count;
        }
      }
      std::vector<float> back(values.size() + 1, 42.0f);
      set_->lanes_to_images({back.data(), count, images, count, lanes.data()});
      EXPECT_EQ(back.back(), 42.0f);
      back.pop_back();
      EXPECT_EQ(back, values);
    }
  }
}

struct Extents {
  int64_t height, width, channels, kernel_height, kernel_width, stride, top, left, outputs;
  int64_t out_height() const { return (height + 2 * top - kernel_height) / stride + 1; }
  int64_t out_width() const { return (width + 2 * left - kernel_width) / stride + 1; }
};
const Extents all[] = {{7, 6, 1, 5, 5, 1, 2, 2, 6},  {5, 9, 3, 3, 2, 1, 1, 0, 7},
                       {6, 6, 2, 1, 1, 1, 0, 0, 1},  {8, 7, 4, 3, 3, 2, 1, 1, 13},
                       {4, 4, 5, 4, 4, 1, 3, 3, 11}, {3, 5, 1, 3, 5, 1, 0, 0, 16}};

// x[i stride - top + row, j stride - left + column, c] of one image, 0 outside.
double at(const std::vector<float>& x, const Extents& e, int64_t image, int64_t i, int64_t j, int64_t c) {
  if (i < 0 || i >= e.height || j < 0 || j >= e.width) return 0;
  return double{x[static_cast<size_t>(((image * e.height + i) * e.width + j) * e.channels + c)]};
}

TEST_P(FewChannels, CorrelateImages) {
  for (const Extents& e : all) {
    SCOPED_TRACE(e.outputs);
    int64_t images = group_ - 1, taps = e.kernel_height * e.kernel_width, out = e.out_width() * e.outputs;
    auto x = random(images * e.height * e.width * e.channels, 1),
         w = random(taps * e.channels * e.outputs, 2);
    auto bias = random(e.outputs, 3);
    auto lanes = to_lanes(x, images, e.height * e.width * e.channels);
    for (bool relu : {false, true}) {
      for (int64_t row = 0; row < e.out_height(); ++row) {
        std::vector<float> y(static_cast<size_t>(out * group_)), results(static_cast<size_t>(images * out));
        set_->few_channels({lanes.data(), e.height, e.width, e.channels, w.data(), e.channels * e.outputs,
                            e.outputs, 1, e.kernel_height, e.kernel_width, e.stride, e.top, e.left,
                            bias.data(), relu, row, e.out_width(), e.outputs, y.data()});
        set_->lanes_to_images({results.data(), out, images, out, y.data()});
        for (int64_t image = 0; image < images; ++image) {
          for (int64_t k = 0; k < out; ++k) {
            int64_t j = k / e.outputs, o = k % e.outputs;
            double sum = double{bias[static_cast<size_t>(o)]};
            for (int64_t tap = 0; tap < taps; ++tap) {
              int64_t i = row * e.stride - e.top + tap / e.kernel_width;
              int64_t column = j * e.stride - e.left + tap % e.kernel_width;
              for (int64_t c = 0; c < e.channels; ++c) {
                sum += at(x, e, image, i, column, c) *
                       double{w[static_cast<size_t>((tap * e.channels + c) * e.outputs + o)]};
              }
            }
            if (relu && sum < 0) sum = 0;
            ASSERT_NEAR(results[static_cast<size_t>(image * out + k)], sum, 2e-5)
                << row << " " << j << " " << o;
          }
        }
      }
    }
  }
}

TEST_P(FewChannels, SumWeights) {
  for (Extents e : all) {
    SCOPED_TRACE(e.outputs);
    e.top = e.left = 0;  // a border would be part of the image
    if (e.out_height() < 1 || e.out_width() < 1) continue;
    int64_t images = group_ - 1, taps = e.kernel_height * e.kernel_width,
            pixels = e.out_height() * e.out_width();
    auto x = random(images * e.height * e.width * e.channels, 1), dy = random(images * pixels * e.outputs, 2);
    auto x_lanes = to_lanes(x, images, e.height * e.width * e.channels);
    auto dy_lanes = to_lanes(dy, images, pixels * e.outputs);
    std::vector<float> dw(static_cast<size_t>(taps * e.channels * e.outputs)),
        sums(static_cast<size_t>(e.outputs));
    set_->few_channels_weights({x_lanes.data(), e.width, e.channels, dy_lanes.data(), e.out_height(),
                                e.out_width(), e.outputs, e.kernel_height, e.kernel_width, e.stride,
                                dw.data()});
    set_->lane_sums(dy_lanes.data(), pixels, e.outputs, sums.data());
    auto gradient = [&](int64_t image, int64_t p, int64_t o) {
      return double{dy[static_cast<size_t>((image * pixels + p) * e.outputs + o)]};
    };
    for (int64_t o = 0; o < e.outputs; ++o) {
      double of_all = 0;
      for (int64_t i = 0; i < images * pixels; ++i) of_all += gradient(i / pixels, i % pixels, o);
      ASSERT_NEAR(sums[static_cast<size_t>(o)], of_all, 1e-4);
      for (int64_t tap = 0; tap < taps; ++tap) {
        for (int64_t c = 0; c < e.channels; ++c) {
          double sum = 0;
          for (int64_t image = 0; image < images; ++image) {
            for (int64_t p = 0; p < pixels; ++p) {
              int64_t i = p / e.out_width() * e.stride + tap / e.kernel_width;
              int64_t j = p % e.out_width() * e.stride + tap % e.kernel_width;
              sum += at(x, e, image, i, j, c) * gradient(image, p, o);
            }
          }
          ASSERT_NEAR(dw[static_cast<size_t>((tap * e.channels + c) * e.outputs + o)], sum, 1e-4)
              << tap << " " << c;
        }
      }
    }
  }
}

}  // namespace
}  // namespace trireme::cpu
