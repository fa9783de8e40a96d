#include "base/parallel.h"

#include <gtest/gtest.h>

#include <vector>

namespace trireme {
namespace {

TEST(ForEachIndex, calls_each_index_once_whatever_the_number_of_threads) {
  for (int threads : {1, 2, 3}) {
    for (int64_t count : {0, 1, 2, 3, 7, 1000}) {
      std::vector<int> calls(static_cast<size_t>(count));
      for_each_index(threads, count, [&](int64_t i) { ++calls[static_cast<size_t>(i)]; });
      for (int each : calls) ASSERT_EQ(each, 1) << threads << " threads, " << count;
    }
  }
}

TEST(ForEachIndex, gives_each_thread_one_contiguous_part) {
  std::vector<int> threads_of(100, -1);
  for_each_index(3, 100, [&](int64_t i) { threads_of[static_cast<size_t>(i)] = this_thread(); });
  for (size_t i = 1; i < threads_of.size(); ++i) EXPECT_GE(threads_of[i], threads_of[i - 1]);
  EXPECT_EQ(threads_of.front(), 0);
  EXPECT_EQ(threads_of.back(), 2);
}

TEST(ForEachPart, covers_all_and_ends_with_a_short_part) {
  for (int threads : {1, 2}) {
    std::vector<int64_t> sizes(4);
    for_each_part(threads, 35, 10,
                  [&](int64_t begin, int64_t end) { sizes[static_cast<size_t>(begin / 10)] = end - begin; });
    EXPECT_EQ(sizes, (std::vector<int64_t>{10, 10, 10, 5}));
  }
}

}  // namespace
}  // namespace trireme
