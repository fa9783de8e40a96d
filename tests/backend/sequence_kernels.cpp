// Our own kernels of language models, every instruction set that this machine has, against formulas in
// float64. (tests/ops compares whole ops with the reference backend; that runs the best set only.)
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "backend/cpu/kernels/kernels.h"
#include "base/buffer.h"
#include "base/half.h"
#include "base/rng.h"

namespace trireme::cpu {
namespace {

class SequenceKernels : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    set_ = find_kernels(GetParam());
    if (set_ == nullptr) GTEST_SKIP() << "this processor has no " << GetParam();
  }
  const KernelSet* set_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Sets, SequenceKernels, testing::Values("plain", "avx2", "avx512"));

std::vector<float> random(size_t count, uint64_t seed) {
  RandomStream stream(seed, Purpose::test);
  std::vector<float> values(count);
  for (float& value : values) value = stream.normal();
  return values;
}

double normal_below(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

TEST_P(SequenceKernels, GeluFromTailToTail) {
  std::vector<float> x;
  for (int i = -9000; i <= 9000; ++i) x.push_back(static_cast<float>(i) / 1000);
  std::vector<float> y(x.size() + 1, 42.0f), dx(x.size()), ones(x.size(), 1.0f);
  auto n = static_cast<int64_t>(x.size());
  set_->gelu(ElementType::float32, x.data(), y.data(), n, false);
  set_->gelu_backward(ElementType::float32, ones.data(), x.data(), dx.data(), n, false);
  for (size_t i = 0; i < x.size(); ++i) {
    double v = x[i];
    ASSERT_NEAR(y[i], v * normal_below(v), 2e-7 * (1 + std::abs(v))) << v;
    ASSERT_NEAR(dx[i], normal_below(v) + v * std::exp(-v * v / 2) / std::sqrt(2 * M_PI), 4e-7) << v;
  }
  EXPECT_EQ(y.back(), 42.0f);
  set_->gelu(ElementType::float32, x.data(), y.data(), n, true);
  set_->gelu_backward(ElementType::float32, ones.data(), x.data(), dx.data(), n, true);
  for (size_t i = 0; i < x.size(); ++i) {
    double v = x[i], u = std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v), t = std::tanh(u);
    ASSERT_NEAR(y[i], 0.5 * v * (1 + t), 2e-7 * (1 + std::abs(v))) << v;
    double du = std::sqrt(2 / M_PI) * (1 + 3 * 0.044715 * v * v);
    ASSERT_NEAR(dx[i], 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * du, 6e-7) << v;
  }
}

TEST_P(SequenceKernels, GeluKeepsNaN) {
  std::vector<float> x(19, std::nanf("")), y(19), ones(19, 1.0f), dx(19);
  for (bool by_tanh : {false, true}) {
    set_->gelu(ElementType::float32, x.data(), y.data(), 19, by_tanh);
    set_->gelu_backward(ElementType::float32, ones.data(), x.data(), dx.data(), 19, by_tanh);
    for (float value : y) EXPECT_TRUE(std::isnan(value));
    for (float value : dx) EXPECT_TRUE(std::isnan(value));
  }
}

TEST_P(SequenceKernels, GeluFarFromZeroIsZeroOrTheIdentity) {
  std::vector<float> x = {-12, -40, -1e6f, -1e18f, 12, 40, 1e6f, 1e18f}, y(8), ones(8, 1.0f), dx(8);
  set_->gelu(ElementType::float32, x.data(), y.data(), 8, false);
  set_->gelu_backward(ElementType::float32, ones.data(), x.data(), dx.data(), 8, false);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(y[i], x[i] < 0 ? 0.0f : x[i], 1e-25f) << x[i];
    EXPECT_NEAR(dx[i], x[i] < 0 ? 0.0f : 1.0f, 1e-25f) << x[i];
  }
}

// Through a kernel, since the conversions are not kernels of their own: gelu is the identity for large values
// and its negative branch keeps small ones, so compare with gelu in float32 of the widened value, rounded.
template <class Half>
void expect_conversions(const KernelSet& set, ElementType type) {
  std::vector<Half> x(65536), y(65536);
  std::vector<float> wide(65536), expected(65536);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i].bits = static_cast<uint16_t>(i);
    wide[i] = x[i];
  }
  set.gelu(ElementType::float32, wide.data(), expected.data(), 65536, false);
  set.gelu(type, x.data(), y.data(), 65536, false);
  for (size_t i = 0; i < x.size(); ++i) {
    Half rounded(expected[i]);
    if (std::isnan(expected[i])) {
      ASSERT_TRUE(std::isnan(static_cast<float>(y[i]))) << i;
    } else {
      ASSERT_EQ(y[i].bits, rounded.bits) << "of " << wide[i] << " comes " << static_cast<float>(y[i]);
    }
  }
}

TEST_P(SequenceKernels, HalvesAreWidenedAndRoundedAsInBase) {
  expect_conversions<BFloat16>(*set_, ElementType::bfloat16);
  expect_conversions<Float16>(*set_, ElementType::float16);
}

TEST_P(SequenceKernels, SoftmaxOfOddRows) {
  for (int64_t classes : {1, 3, 16, 65, 257}) {
    const int64_t rows = 5;
    auto z = random(static_cast<size_t>(rows * classes), 1);
    for (float& value : z) value = value * 20 - 30;
    std::vector<float> p(z.size() + 1, 42.0f);
    std::vector<SoftmaxRow> results(static_cast<size_t>(rows));
    set_->softmax(z.data(), rows, classes, p.data(), results.data());
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = z.data() + r * classes;
      double largest = row[0], sum = 0, differences = 0;
      for (int64_t c = 1; c < classes; ++c) largest = std::max(largest, double{row[c]});
      for (int64_t c = 0; c < classes; ++c) {
        sum += std::exp(row[c] - largest);
        differences += row[c] - largest;
      }
      const SoftmaxRow& result = results[static_cast<size_t>(r)];
      EXPECT_EQ(result.largest, largest);
      EXPECT_NEAR(result.exponentials, sum, 1e-6 * sum);
      EXPECT_NEAR(result.differences, differences, 1e-5 * std::abs(differences));
      for (int64_t c = 0; c < classes; ++c) {
        EXPECT_NEAR(p[static_cast<size_t>(r * classes + c)], std::exp(row[c] - largest) / sum, 2e-7);
      }
    }
    EXPECT_EQ(p.back(), 42.0f);
  }
}

TEST_P(SequenceKernels, LayerNormBothWays) {
  for (int64_t channels : {1, 6, 16, 33}) {
    const int64_t rows = 7;
    auto n = static_cast<size_t>(rows * channels);
    auto x = random(n, 2), dy = random(n, 3), gamma = random(static_cast<size_t>(channels), 4);
    auto beta = random(gamma.size(), 5);
    std::vector<float> y(n), dx(n), mean(7), inv_std(7), dgamma(gamma.size()), dbeta(gamma.size());
    set_->layer_norm(x.data(), rows, channels, gamma.data(), beta.data(), 1e-3f, y.data(), mean.data(),
                     inv_std.data());
    set_->layer_norm_backward(dy.data(), x.data(), rows, channels, gamma.data(), mean.data(), inv_std.data(),
                              dx.data(), dgamma.data(), dbeta.data());
    std::vector<double> of_gamma(gamma.size()), of_beta(gamma.size());
    for (size_t r = 0; r < 7; ++r) {
      double sum = 0, squares = 0, first = 0, second = 0;
      size_t begin = r * gamma.size(), m = gamma.size();
      for (size_t c = 0; c < m; ++c) sum += x[begin + c];
      double middle = sum / static_cast<double>(m);
      for (size_t c = 0; c < m; ++c) squares += std::pow(x[begin + c] - middle, 2);
      double factor = 1 / std::sqrt(squares / static_cast<double>(m) + 1e-3);
      EXPECT_NEAR(mean[r], middle, 1e-6);
      EXPECT_NEAR(inv_std[r] / factor, 1, 1e-5);
      auto normal = [&](size_t c) { return (x[begin + c] - middle) * factor; };
      for (size_t c = 0; c < m; ++c) {
        EXPECT_NEAR(y[begin + c], normal(c) * gamma[c] + beta[c], 1e-5);
        first += double{dy[begin + c]} * gamma[c] / static_cast<double>(m);
        second += double{dy[begin + c]} * gamma[c] * normal(c) / static_cast<double>(m);
        of_gamma[c] += dy[begin + c] * normal(c);
        of_beta[c] += dy[begin + c];
      }
      for (size_t c = 0; c < m; ++c) {
        EXPECT_NEAR(dx[begin + c], factor * (double{dy[begin + c]} * gamma[c] - first - normal(c) * second),
                    1e-5 * factor);
      }
    }
    for (size_t c = 0; c < gamma.size(); ++c) {
      EXPECT_NEAR(dgamma[c], of_gamma[c], 1e-4);
      EXPECT_NEAR(dbeta[c], of_beta[c], 1e-5);
    }
  }
}

// One head whose rows lie three heads apart, in this set and in the plain one, which tests/ops's samples go
// through only where the processor has no better.
TEST_P(SequenceKernels, AttentionAgreesWithThePlainSet) {
  const KernelSet& plain = *find_kernels("plain");
  for (int64_t length : {1, 17, 64, 70, 131}) {
    for (int64_t size : {5, 32}) {
      const int64_t channels = size + 3;
      auto qkv = random(static_cast<size_t>(3 * channels * length), 6);
      auto dy = random(static_cast<size_t>(channels * length), 7);
      std::vector<float> y[2], logsumexp[2], dqkv[2];
      for (int which : {0, 1}) {
        const KernelSet& set = which == 0 ? plain : *set_;
        y[which].assign(dy.size(), 7.0f);
        dqkv[which].assign(qkv.size(), 7.0f);
        logsumexp[which].resize(static_cast<size_t>(length));
        Buffer scratch(static_cast<size_t>(attention_scratch(length, size)) * sizeof(float));
        AttentionDropout dropout = {0.25f, 1, 2, 3, 4, 5, 2 * length};
        set.attention({qkv.data(), y[which].data(), logsumexp[which].data(), scratch.as<float>(), nullptr,
                       length, size, channels, 0.3f, true, ElementType::float32, dropout});
        Buffer more(static_cast<size_t>(attention_backward_scratch(length, size)) * sizeof(float));
        set.attention_backward({dy.data(), qkv.data(), y[which].data(), logsumexp[which].data(),
                                dqkv[which].data(), more.as<float>(), nullptr, nullptr, nullptr, length, size,
                                channels, 0.3f, true, ElementType::float32, dropout});
      }
      for (size_t i = 0; i < dy.size(); ++i) ASSERT_NEAR(y[1][i], y[0][i], 1e-5);
      for (size_t i = 0; i < qkv.size(); ++i) ASSERT_NEAR(dqkv[1][i], dqkv[0][i], 2e-5);
      for (size_t i = 0; i < logsumexp[0].size(); ++i) ASSERT_NEAR(logsumexp[1][i], logsumexp[0][i], 1e-5);
      EXPECT_EQ(y[1][static_cast<size_t>(size)], 7.0f) << "another head's channels stay";
    }
  }
}

}  // namespace
}  // namespace trireme::cpu
