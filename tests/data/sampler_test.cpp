#include "data/sampler.h"

#include <gtest/gtest.h>

#include <numeric>

namespace trireme {
namespace {

TEST(Slices, CoverEverythingOnceAndDifferByOneAtMost) {
  for (int64_t count : {0, 1, 2, 3, 7, 64, 65, 1000}) {
    for (int64_t parts : {1, 2, 3, 4, 7, 64, 100}) {
      size_t place = 0, smallest = SIZE_MAX, largest = 0;
      for (int64_t part = 0; part < parts; ++part) {
        Range slice = slice_of(count, part, parts);
        EXPECT_EQ(slice.begin, place);
        place = slice.end;
        smallest = std::min(smallest, slice.size());
        largest = std::max(largest, slice.size());
      }
      EXPECT_EQ(place, static_cast<size_t>(count));
      EXPECT_LE(largest - smallest, 1u);
    }
  }
}

TEST(Steps, Arithmetic) {
  EXPECT_EQ(steps_per_epoch(60000, 64), 938);
  EXPECT_EQ(steps_per_epoch(64, 64), 1);
  EXPECT_EQ(steps_per_epoch(65, 64), 2);
  EXPECT_EQ(steps_per_epoch(10, 64), 1);
  EXPECT_EQ(position_of(0, 938), (EpochPosition{0, 0}));
  EXPECT_EQ(position_of(937, 938), (EpochPosition{0, 937}));
  EXPECT_EQ(position_of(938, 938), (EpochPosition{1, 0}));
  EXPECT_EQ(position_of(5000, 938), (EpochPosition{5, 310}));
  EXPECT_EQ(batch_of(937, 60000, 64), (Range{59968, 60000}));
  EXPECT_EQ(batch_of(0, 10, 64), (Range{0, 10}));
}

TEST(Orders, EverySampleOncePerEpochForAnyNumberOfRanks) {
  constexpr int64_t samples = 107, batch = 16;
  for (int64_t ranks : {1, 2, 3, 5, 20}) {
    for (int64_t epoch : {0, 1}) {
      EpochOrder order(samples, 3, epoch, true);
      std::vector<int> seen(samples);
      for (int64_t step = 0; step < steps_per_epoch(samples, batch); ++step) {
        Range global = batch_of(step, samples, batch);
        std::vector<int64_t> whole, of_ranks;
        for (size_t i = global.begin; i < global.end; ++i) whole.push_back(order[static_cast<int64_t>(i)]);
        for (int64_t rank = 0; rank < ranks; ++rank) {
          Range own = slice_of(static_cast<int64_t>(global.size()), rank, ranks);
          for (size_t i = own.begin; i < own.end; ++i) {
            int64_t sample = order[static_cast<int64_t>(global.begin + i)];
            of_ranks.push_back(sample);
            ++seen.at(static_cast<size_t>(sample));
          }
        }
        EXPECT_EQ(of_ranks, whole) << "ranks in order hold the global batch in order";
      }
      EXPECT_EQ(seen, std::vector<int>(samples, 1));
    }
  }
}

std::vector<int64_t> all_of(const EpochOrder& order) {
  std::vector<int64_t> samples;
  for (int64_t i = 0; i < order.size(); ++i) samples.push_back(order[i]);
  return samples;
}

TEST(Orders, DependOnSeedAndEpochAlone) {
  EXPECT_EQ(all_of(EpochOrder(50, 1, 2, true)), all_of(EpochOrder(50, 1, 2, true)));
  EXPECT_NE(all_of(EpochOrder(50, 1, 2, true)), all_of(EpochOrder(50, 1, 3, true)));
  EXPECT_NE(all_of(EpochOrder(50, 1, 2, true)), all_of(EpochOrder(50, 2, 2, true)));
}

TEST(Orders, WithoutShufflingAreTheFiles) {
  std::vector<int64_t> expected(50);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(all_of(EpochOrder(50, 1, 2, false)), expected);
}

}  // namespace
}  // namespace trireme
