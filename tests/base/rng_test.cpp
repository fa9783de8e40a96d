#include "base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace trireme {
namespace {

// Known answers of Random123 1.14 (tests/kat_vectors), philox4x32 with 10 rounds.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox(0, 0, 0, 0, 0, 0), (RandomBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox(ones, ones, ones, ones, ones, ones),
            (RandomBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(0xa4093822, 0x299f31d0, 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344),
            (RandomBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, IsAFunctionOfItsName) {
  RandomStream a(7, Purpose::augment, 3, 5), b(7, Purpose::augment, 3, 5);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.next(), b.next());
}

TEST(RandomStream, OtherNamesGiveOtherStreams) {
  std::set<uint32_t> first;
  for (uint64_t seed : {uint64_t{1}, uint64_t{2}, uint64_t{1} << 40}) {
    for (auto purpose : {Purpose::shuffle, Purpose::dropout, Purpose::augment}) {
      for (uint64_t a : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 33}) {
        for (uint32_t b : {0u, 1u}) first.insert(RandomStream(seed, purpose, a, b).next());
      }
    }
  }
  EXPECT_EQ(first.size(), 3u * 3 * 3 * 2);
}

TEST(RandomStream, UniformIsInRangeAndEven) {
  RandomStream stream(1, Purpose::test);
  double sum = 0, squares = 0;
  constexpr int n = 100'000;
  for (int i = 0; i < n; ++i) {
    float x = stream.uniform();
    ASSERT_GE(x, 0.0f);
    ASSERT_LT(x, 1.0f);
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / n, 0.5, 0.005);
  EXPECT_NEAR(squares / n, 1.0 / 3, 0.005);
  EXPECT_EQ(uniform_float(0), 0.0f);
  EXPECT_LT(uniform_float(0xffffffff), 1.0f);
}

TEST(RandomStream, BelowHitsEveryValueEvenly) {
  RandomStream stream(1, Purpose::test, 1);
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) ++counts.at(stream.below(7));
  for (int count : counts) EXPECT_NEAR(count, 10'000, 500);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(stream.below(1), 0u);
}

TEST(RandomStream, NormalHasItsMoments) {
  RandomStream stream(1, Purpose::test, 2);
  double sum = 0, squares = 0;
  constexpr int n = 100'000;
  for (int i = 0; i < n; ++i) {
    float x = stream.normal();
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / n, 0.0, 0.02);
  EXPECT_NEAR(squares / n, 1.0, 0.02);
}

TEST(RandomPermutation, HoldsEachNumberOnce) {
  for (uint32_t n : {0u, 1u, 2u, 1000u}) {
    auto order = random_permutation(n, 5, 9);
    std::sort(order.begin(), order.end());
    ASSERT_EQ(order.size(), n);
    for (uint32_t i = 0; i < n; ++i) EXPECT_EQ(order[i], i);
  }
}

TEST(RandomPermutation, DependsOnSeedAndEpochAlone) {
  EXPECT_EQ(random_permutation(500, 1, 2), random_permutation(500, 1, 2));
  EXPECT_NE(random_permutation(500, 1, 2), random_permutation(500, 1, 3));
  EXPECT_NE(random_permutation(500, 1, 2), random_permutation(500, 2, 2));
}

TEST(RandomPermutation, AllOrdersAreEquallyLikely) {
  std::vector<int> counts(6);
  for (uint64_t epoch = 0; epoch < 6000; ++epoch) {
    auto order = random_permutation(3, 1, epoch);
    ++counts[order[0] * 2 + (order[1] > order[2] ? 1 : 0)];
  }
  for (int count : counts) EXPECT_NEAR(count, 1000, 150);
}

}  // namespace
}  // namespace trireme
