// Which ranks trials get: aligned blocks inside nodes, room for wide ones kept together, no rank idle while a
// trial that fits waits.
#include "sweep/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/rng.h"

namespace trireme {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<bool> free_but(size_t ranks, const std::set<int>& busy) {
  std::vector<bool> free(ranks, true);
  for (int rank : busy) free[static_cast<size_t>(rank)] = false;
  return free;
}

// `nodes` nodes of `each` ranks.
std::vector<int> nodes_of(int nodes, int each) {
  std::vector<int> all;
  for (int rank = 0; rank < nodes * each; ++rank) all.push_back(rank / each);
  return all;
}

TEST(Placement, blocks_begin_at_multiples_of_the_width) {
  std::vector<int> nodes = nodes_of(1, 8);
  EXPECT_THAT(choose_ranks(free_but(8, {}), nodes, 2), ElementsAre(0, 1));
  EXPECT_THAT(choose_ranks(free_but(8, {0}), nodes, 2), ElementsAre(2, 3));  // not 1, 2
  EXPECT_THAT(choose_ranks(free_but(8, {0}), nodes, 4), ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(choose_ranks(free_but(6, {1}), nodes_of(1, 6), 3), ElementsAre(3, 4, 5));
}

TEST(Placement, narrow_trials_leave_wide_blocks_whole) {
  std::vector<int> nodes = nodes_of(1, 8);
  EXPECT_THAT(choose_ranks(free_but(8, {5}), nodes, 1), ElementsAre(4));     // beside the busy one
  EXPECT_THAT(choose_ranks(free_but(8, {4, 5}), nodes, 1), ElementsAre(6));  // in the half that is broken
  EXPECT_THAT(choose_ranks(free_but(8, {0}), nodes, 2), ElementsAre(2, 3));
  EXPECT_THAT(choose_ranks(free_but(8, {6}), nodes_of(2, 4), 1),
              ElementsAre(7));  // in the node that is broken
}

TEST(Placement, a_preferred_rank_comes_first_if_it_is_aligned) {
  std::vector<int> nodes = nodes_of(1, 8);
  EXPECT_THAT(choose_ranks(free_but(8, {5}), nodes, 1, 2), ElementsAre(2));
  EXPECT_THAT(choose_ranks(free_but(8, {}), nodes, 2, 6), ElementsAre(6, 7));
  EXPECT_THAT(choose_ranks(free_but(8, {}), nodes, 2, 5), ElementsAre(0, 1));
  EXPECT_THAT(choose_ranks(free_but(8, {2}), nodes, 1, 2), ElementsAre(3));
}

TEST(Placement, unaligned_ranks_of_one_node_before_those_of_several) {
  EXPECT_THAT(choose_ranks(free_but(8, {0, 3, 4, 6}), nodes_of(2, 4), 2), ElementsAre(1, 2));
  EXPECT_THAT(choose_ranks(free_but(8, {0, 3, 4, 6, 7}), nodes_of(2, 4), 3), ElementsAre(1, 2, 5));
  EXPECT_THAT(choose_ranks(free_but(8, {}), nodes_of(2, 4), 6), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(Placement, nothing_where_too_few_are_free) {
  EXPECT_THAT(choose_ranks(free_but(4, {1, 2, 3}), nodes_of(1, 4), 2), IsEmpty());
  EXPECT_THAT(choose_ranks(free_but(4, {}), nodes_of(1, 4), 5), IsEmpty());
}

TEST(Placement, ranks_are_free_once_they_are_released) {
  RankPool pool(nodes_of(1, 4));
  EXPECT_FALSE(pool.fits(1));
  for (int rank = 0; rank < 4; ++rank) pool.release(rank);
  pool.release(2);  // twice is once
  EXPECT_EQ(pool.free_ranks(), 4);
  EXPECT_THAT(pool.take(2), ElementsAre(0, 1));
  EXPECT_TRUE(pool.fits(2));
  EXPECT_FALSE(pool.fits(3));
  EXPECT_THAT(pool.take(3), IsEmpty());
  EXPECT_EQ(pool.free_ranks(), 2);
}

// Widths 1, 2 and 4 in random order on nodes of 8: whatever fits is placed on ranks that were free, powers of
// two are hardly ever torn over nodes, and few groups are ever made.
TEST(Placement, random_widths_are_packed_without_holes) {
  RankPool pool(nodes_of(2, 8));
  for (int rank = 0; rank < 16; ++rank) pool.release(rank);
  RandomStream random(7, Purpose::test);
  std::vector<std::vector<int>> running;
  std::set<std::vector<int>> groups;
  std::set<int> busy;
  for (int round = 0; round < 20000; ++round) {
    int width = 1 << random.below(3);
    if (pool.fits(width)) {
      std::vector<int> ranks = pool.take(width);
      ASSERT_EQ(ranks.size(), static_cast<size_t>(width));
      ASSERT_TRUE(std::is_sorted(ranks.begin(), ranks.end()));
      for (int rank : ranks) ASSERT_TRUE(busy.insert(rank).second);
      groups.insert(ranks);
      running.push_back(ranks);
    } else {
      std::swap(running[random.below(static_cast<uint32_t>(running.size()))], running.back());
      for (int rank : running.back()) {
        pool.release(rank);
        busy.erase(rank);
      }
      running.pop_back();
    }
    ASSERT_EQ(pool.free_ranks() + static_cast<int>(busy.size()), 16);
  }
  auto aligned = [](const std::vector<int>& ranks) {
    int width = static_cast<int>(ranks.size());
    return ranks.front() % width == 0 && ranks.back() == ranks.front() + width - 1;
  };
  EXPECT_EQ(std::count_if(groups.begin(), groups.end(), aligned), 16 + 8 + 4);
}

}  // namespace
}  // namespace trireme
