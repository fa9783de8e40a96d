// Our own CPU kernels, every instruction set that this machine has, against plain formulas, for odd sizes.
// (Whole ops are compared with the reference backend in tests/ops; that runs the best set only.)
#include "backend/cpu/kernels/kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "base/half.h"
#include "base/rng.h"

namespace trireme::cpu {
namespace {

class KernelSets : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    set_ = find_kernels(GetParam());
    if (set_ == nullptr) GTEST_SKIP() << "this processor has no " << GetParam();
  }
  const KernelSet* set_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Sets, KernelSets, testing::Values("plain", "avx2", "avx512"));

std::vector<float> random(size_t count, uint64_t seed) {
  RandomStream stream(seed, Purpose::test);
  std::vector<float> values(count);
  for (float& value : values) value = stream.normal();
  return values;
}

TEST(KernelChoice, UnknownSetsAreNotFound) {
  EXPECT_EQ(find_kernels("abacus"), nullptr);
  EXPECT_STREQ(find_kernels("plain")->name, "plain");
  EXPECT_NE(best_kernels().relu, nullptr);
}

TEST_P(KernelSets, ElementwiseAtOddLengths) {
  for (int64_t n : {1, 3, 15, 16, 17, 100, 1001}) {
    auto x = random(static_cast<size_t>(n), 1);
    auto z = random(static_cast<size_t>(n), 2);
    std::vector<float> y(x.size() + 1, 42.0f);  // one more: must stay untouched
    set_->relu(ElementType::float32, x.data(), y.data(), n);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(y[i], x[i] > 0 ? x[i] : 0.0f);
    set_->relu_backward(ElementType::float32, z.data(), x.data(), y.data(), n);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(y[i], x[i] > 0 ? z[i] : 0.0f);
    set_->add(ElementType::float32, x.data(), z.data(), y.data(), n);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(y[i], x[i] + z[i]);
    EXPECT_EQ(y.back(), 42.0f);
  }
}

TEST_P(KernelSets, TanhAndSigmoidAtOddLengths) {
  for (int64_t n : {1, 3, 17, 1001}) {
    auto x = random(static_cast<size_t>(n), 1), dy = random(static_cast<size_t>(n), 2);
    for (size_t i = 0; i < x.size(); ++i) x[i] *= i % 7 == 0 ? 50.0f : 2.0f;
    std::vector<float> y(x.size() + 1, 42.0f), dx(x.size() + 1, 42.0f);
    auto expect = [&](auto value, auto slope) {
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_NEAR(y[i], value(double{x[i]}), 3e-7) << x[i];
        ASSERT_NEAR(dx[i], dy[i] * slope(double{y[i]}), 1e-6) << x[i];
      }
      EXPECT_EQ(y.back(), 42.0f);
      EXPECT_EQ(dx.back(), 42.0f);
    };
    set_->tanh(ElementType::float32, x.data(), y.data(), n);
    set_->tanh_backward(ElementType::float32, dy.data(), y.data(), dx.data(), n);
    expect([](double v) { return std::tanh(v); }, [](double v) { return 1 - v * v; });
    set_->sigmoid(ElementType::float32, x.data(), y.data(), n);
    set_->sigmoid_backward(ElementType::float32, dy.data(), y.data(), dx.data(), n);
    expect([](double v) { return 1 / (1 + std::exp(-v)); }, [](double v) { return v * (1 - v); });
  }
}

// Value by value the same as base/half.h: all bit patterns one way, rounding, infinities and denormals the
// other.
template <class T>
void expect_conversions(const KernelSet& set, ElementType type) {
  std::vector<T> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i].bits = static_cast<uint16_t>(i);
  std::vector<float> wide(halves.size());
  set.widen(type, halves.data(), wide.data(), static_cast<int64_t>(halves.size()));
  for (size_t i = 0; i < halves.size(); ++i) {
    float wanted = halves[i];
    if (std::isnan(wanted)) {
      ASSERT_TRUE(std::isnan(wide[i])) << i;
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), std::bit_cast<uint32_t>(wanted)) << i;
    }
  }
  RandomStream stream(5, Purpose::test);
  std::vector<float> floats(100003);
  for (size_t i = 0; i < floats.size(); ++i) {
    floats[i] = i % 2 ? std::bit_cast<float>(stream.next())
                      : std::ldexp(stream.normal(), static_cast<int>(i % 60) - 40);
  }
  for (float special : {INFINITY, -INFINITY, -0.0f, 65519.0f, 65520.0f, 3.4e38f}) floats.push_back(special);
  std::vector<T> rounded(floats.size());
  set.narrow(type, floats.data(), rounded.data(), static_cast<int64_t>(floats.size()));
  for (size_t i = 0; i < floats.size(); ++i) {
    if (std::isnan(floats[i])) {
      ASSERT_TRUE(std::isnan(static_cast<float>(rounded[i]))) << i;
    } else {
      ASSERT_EQ(rounded[i].bits, T(floats[i]).bits) << floats[i];
    }
  }
}

TEST_P(KernelSets, ConvertLikeTheTypesThemselves) {
  expect_conversions<BFloat16>(*set_, ElementType::bfloat16);
  expect_conversions<Float16>(*set_, ElementType::float16);
}

TEST_P(KernelSets, SixteenBitsAtOddLengths) {
  for (int64_t n : {1, 3, 15, 16, 17, 1001}) {
    auto x = random(static_cast<size_t>(n), 1);
    auto z = random(static_cast<size_t>(n), 2);
    std::vector<BFloat16> a(x.begin(), x.end()), b(z.begin(), z.end()), y(a.size() + 1, BFloat16(42.0f));
    set_->relu(ElementType::bfloat16, a.data(), y.data(), n);
    for (size_t i = 0; i < a.size(); ++i)
      EXPECT_EQ(y[i].bits, BFloat16(a[i] > 0 ? static_cast<float>(a[i]) : 0.0f).bits);
    set_->add(ElementType::bfloat16, a.data(), b.data(), y.data(), n);
    for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(y[i].bits, BFloat16(a[i] + b[i]).bits);
    set_->relu_backward(ElementType::bfloat16, b.data(), a.data(), y.data(), n);
    for (size_t i = 0; i < a.size(); ++i)
      EXPECT_EQ(y[i].bits, BFloat16(a[i] > 0 ? static_cast<float>(b[i]) : 0.0f).bits);
    EXPECT_EQ(y.back(), 42.0f);
  }
}

TEST_P(KernelSets, ReluKeepsNaN) {
  std::vector<float> x(35, std::nanf(""));
  std::vector<float> y(35);
  set_->relu(ElementType::float32, x.data(), y.data(), 35);
  for (float value : y) EXPECT_TRUE(std::isnan(value));
}

TEST_P(KernelSets, DropoutDrawsWhatTheCounterSays) {
  const int64_t rows = 3;
  const int64_t elements = 139;
  std::vector<float> x(static_cast<size_t>(rows * elements), 1.0f);
  std::vector<float> y(x.size());
  set_->dropout(ElementType::float32, x.data(), y.data(), 7, rows, elements, 11, 12, 5, 2, 0.25f);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t e = 0; e < elements; ++e) {
      RandomBlock block = philox(11, 12, static_cast<uint32_t>(e / 4), static_cast<uint32_t>(7 + row), 5, 2);
      float expected = uniform_float(block[static_cast<size_t>(e % 4)]) >= 0.25f ? 1.0f / 0.75f : 0.0f;
      EXPECT_EQ(y[static_cast<size_t>(row * elements + e)], expected) << row << " " << e;
    }
  }
}

TEST_P(KernelSets, MaxPoolForwardAndBackward) {
  struct Case {
    int64_t height, width, channels, kernel, stride, padding;
  };
  for (const Case& c :
       {Case{8, 8, 6, 2, 2, 0}, Case{7, 9, 17, 2, 2, 0}, Case{9, 7, 33, 3, 2, 1}, Case{6, 6, 5, 3, 1, 1}}) {
    int64_t out_height = (c.height + 2 * c.padding - c.kernel) / c.stride + 1;
    int64_t out_width = (c.width + 2 * c.padding - c.kernel) / c.stride + 1;
    auto x = random(static_cast<size_t>(c.height * c.width * c.channels), 3);
    auto dy = random(static_cast<size_t>(out_height * out_width * c.channels), 4);
    std::vector<float> y(dy.size());
    std::vector<uint8_t> argmax(dy.size());
    std::vector<float> dx(x.size(), 7.0f);
    set_->max_pool({x.data(), y.data(), argmax.data(), c.height, c.width, c.channels, out_height, out_width,
                    c.kernel, c.stride, c.padding});
    set_->max_pool_backward({dy.data(), argmax.data(), dx.data(), c.height, c.width, c.channels, out_height,
                             out_width, c.kernel, c.stride, c.padding});
    std::vector<double> expected(x.size(), 0.0);
    for (int64_t oy = 0; oy < out_height; ++oy) {
      for (int64_t ox = 0; ox < out_width; ++ox) {
        for (int64_t ch = 0; ch < c.channels; ++ch) {
          int64_t best = -1;
          for (int64_t k = 0; k < c.kernel * c.kernel; ++k) {
            int64_t iy = oy * c.stride - c.padding + k / c.kernel;
            int64_t ix = ox * c.stride - c.padding + k % c.kernel;
            if (iy < 0 || ix < 0 || iy >= c.height || ix >= c.width) continue;
            int64_t at = (iy * c.width + ix) * c.channels + ch;
            if (best < 0 || x[static_cast<size_t>(at)] > x[static_cast<size_t>(best)]) best = at;
          }
          auto o = static_cast<size_t>((oy * out_width + ox) * c.channels + ch);
          ASSERT_EQ(y[o], x[static_cast<size_t>(best)]);
          expected[static_cast<size_t>(best)] += dy[o];
        }
      }
    }
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(dx[i], expected[i], 1e-5);
  }
}

// Against the kernels of the three ops one after the other.
TEST_P(KernelSets, NormPoolBackwardIsTheThreeOpsBackward) {
  const int64_t out_height = 3, out_width = 5, height = 6, width = 10;
  for (int64_t channels : {1, 6, 16, 33}) {
    auto pooled = static_cast<size_t>(out_height * out_width * channels);
    auto x = random(4 * pooled, 10), dy = random(pooled, 11), y = random(pooled, 12);
    auto mean = random(static_cast<size_t>(channels), 13), a = random(mean.size(), 14);
    auto slope = random(mean.size(), 15), constant = random(mean.size(), 16);
    std::vector<uint8_t> argmax(pooled);
    for (size_t i = 0; i < pooled; ++i) argmax[i] = static_cast<uint8_t>(i * 7 % 13 % 4);
    std::vector<float> masked(pooled), dz(x.size()), dx(x.size()), expected(x.size());
    std::vector<float> first(mean.size()), second(mean.size()), sum(mean.size()), product(mean.size());
    set_->relu_backward(ElementType::float32, dy.data(), y.data(), masked.data(),
                        static_cast<int64_t>(pooled));
    set_->max_pool_backward(
        {masked.data(), argmax.data(), dz.data(), height, width, channels, out_height, out_width, 2, 2, 0});
    set_->norm_backward_sums(ElementType::float32, dz.data(), x.data(), height * width, channels, mean.data(),
                             mean.data(), mean.data(), false, first.data(), second.data());
    set_->norm_backward_apply(ElementType::float32, dz.data(), x.data(), height * width, channels,
                              mean.data(), mean.data(), mean.data(), false, a.data(), slope.data(),
                              constant.data(), expected.data());
    NormPoolBackwardTask task{
        dy.data(),       y.data(),   argmax.data(),        x.data(),    dx.data(), out_height,
        out_width,       channels,   ElementType::float32, mean.data(), a.data(),  slope.data(),
        constant.data(), sum.data(), product.data()};
    set_->norm_pool_backward_sums(task);
    set_->norm_pool_backward_apply(task);
    for (size_t c = 0; c < mean.size(); ++c) {
      EXPECT_NEAR(sum[c], first[c], 1e-5);
      EXPECT_NEAR(product[c], second[c], 1e-5);
    }
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(dx[i], expected[i], 1e-5) << i;
  }
}

TEST_P(KernelSets, NormSumsAndApply) {
  for (int64_t channels : {1, 6, 16, 33}) {
    const int64_t rows = 21;
    auto x = random(static_cast<size_t>(rows * channels), 5);
    auto dy = random(x.size(), 6);
    auto mean = random(static_cast<size_t>(channels), 7);
    auto scale = random(mean.size(), 8);
    auto offset = random(mean.size(), 9);
    std::vector<float> first(mean.size()), second(mean.size()), y(x.size()), dx(x.size());
    for (bool relu : {false, true}) {
      set_->norm_apply(ElementType::float32, x.data(), rows, channels, scale.data(), offset.data(), relu,
                       y.data());
      set_->norm_backward_apply(ElementType::float32, dy.data(), x.data(), rows, channels, mean.data(),
                                scale.data(), offset.data(), relu, scale.data(), offset.data(), mean.data(),
                                dx.data());
      for (size_t i = 0; i < x.size(); ++i) {
        size_t c = i % mean.size();
        float z = x[i] * scale[c] + offset[c];
        float d = relu && z <= 0 ? 0.0f : dy[i];
        EXPECT_NEAR(y[i], relu && z < 0 ? 0.0f : z, 1e-5);
        EXPECT_NEAR(dx[i], d * scale[c] + (x[i] - mean[c]) * offset[c] + mean[c], 1e-5);
      }
      set_->norm_backward_sums(ElementType::float32, dy.data(), x.data(), rows, channels, mean.data(),
                               scale.data(), offset.data(), relu, first.data(), second.data());
      for (size_t c = 0; c < mean.size(); ++c) {
        double s = 0;
        double q = 0;
        for (size_t i = c; i < x.size(); i += mean.size()) {
          double d = relu && x[i] * scale[c] + offset[c] <= 0 ? 0.0 : dy[i];
          s += d;
          q += d * (x[i] - mean[c]);
        }
        EXPECT_NEAR(first[c], s, 1e-4);
        EXPECT_NEAR(second[c], q, 1e-4);
      }
    }
    set_->norm_sums(ElementType::float32, x.data(), rows, channels, mean.data(), first.data(), second.data());
    for (size_t c = 0; c < mean.size(); ++c) {
      double s = 0;
      double q = 0;
      for (size_t i = c; i < x.size(); i += mean.size()) {
        s += x[i] - mean[c];
        q += (static_cast<double>(x[i]) - mean[c]) * (static_cast<double>(x[i]) - mean[c]);
      }
      EXPECT_NEAR(first[c], s, 1e-4);
      EXPECT_NEAR(second[c], q, 1e-4);
    }
  }
}

}  // namespace
}  // namespace trireme::cpu
