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

// More blocks than are summed at once, and a last one that is short.
TEST(SumOfSquares, does_not_depend_on_the_number_of_threads) {
  std::vector<float> values(1024 * norm_block + 3 * norm_block + 7);
  RandomStream stream(4, Purpose::test);
  for (float& value : values) value = stream.normal();
  std::vector<double> blocks(1028);
  block_sums_of_squares(values, blocks.data());
  double sum = 0;
  for (double block : blocks) sum += block;
  for (int threads : {1, 2, 3}) EXPECT_EQ(sum_of_squares(values, threads), sum) << threads;
}

TEST(AllFinite, sees_one_value_in_any_threads_part) {
  for (int threads : {1, 2, 3}) {
    std::vector<float> values(100003, -1.0f);
    EXPECT_TRUE(all_finite(values, threads));
    for (size_t at : {size_t{0}, size_t{49999}, size_t{100002}}) {
      for (float broken :
           {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
        values[at] = broken;
        EXPECT_FALSE(all_finite(values, threads)) << at;
        values[at] = 1;
      }
    }
  }
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
