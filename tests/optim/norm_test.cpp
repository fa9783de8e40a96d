#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/rng.h"
#include "optim/norm.h"

namespace trireme {
namespace {

TEST(SumOfSquares, equals_the_plain_sum) {
  for (size_t n :
       {size_t{0}, size_t{1}, size_t{15}, size_t{16}, size_t{4096}, size_t{4097}, size_t{100003}}) {
    RandomStream stream(3, Purpose::test, n);
    std::vector<float> values(n);
    double expected = 0;
    for (float& value : values) {
      value = stream.normal();
      expected += static_cast<double>(value) * value;
    }
    EXPECT_NEAR(sum_of_squares(values), expected, 1e-12 * (1 + expected)) << n;
  }
}

TEST(SumOfSquares, keeps_small_values_beside_large_ones) {
  std::vector<float> values(1 << 20, 1e-4f);
  values[0] = 1e4f;
  EXPECT_NEAR(sum_of_squares(values) - 1e8, ((1 << 20) - 1) * 1e-8, 1e-5);
}

TEST(SumOfSquares, lets_nan_and_infinity_through) {
  std::vector<float> values(5000, 1.0f);
  values[4500] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(sum_of_squares(values)));
  values[4500] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(sum_of_squares(values)));
}

TEST(ClipFactor, only_shortens) {
  EXPECT_EQ(clip_factor(0.5, 1.0), 1.0);
  EXPECT_EQ(clip_factor(1.0, 1.0), 1.0);
  EXPECT_DOUBLE_EQ(clip_factor(4.0, 1.0), 0.25);
  EXPECT_EQ(clip_factor(4.0, 0.0), 1.0);  // off
  EXPECT_EQ(clip_factor(0.0, 1.0), 1.0);
}

}  // namespace
}  // namespace trireme
