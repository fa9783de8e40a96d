// Nodes made up of the threads of one process: every collective, and the bits of every other backend.
#include "comm/hierarchical.h"

#include <gtest/gtest.h>

#include "comm/collectives.h"
#include "comm/thread_ranks.h"

namespace trireme {
namespace {

struct Case {
  std::vector<int> nodes;  // by rank
  bool tree;
};

const std::vector<Case> cases{{{0, 1}, true},          {{0, 0, 1, 1}, true},     {{0, 0, 1}, false},
                              {{5, 6, 7}, true},       {{0, 0, 1, 1, 2}, false}, {{0, 1, 0, 1}, false},
                              {{0, 0, 0, 0}, true},    {{0, 1, 2, 3, 4}, true},  {{1, 1, 0, 0}, true},
                              {{0, 0, 0, 1, 1}, false}};

class Hierarchical : public testing::TestWithParam<std::tuple<size_t, int>> {
 protected:
  void on_ranks(const std::function<void(Communicator&, const Case&)>& body) {
    auto [number, leaders] = GetParam();
    const Case& one = cases[number];
    run_ranks(static_cast<int>(one.nodes.size()), [&, leaders = leaders](Communicator& threads) {
      auto group = make_hierarchical_communicator(threads.split(0, threads.rank()), one.nodes, leaders);
      EXPECT_EQ(group->name(), "hierarchical");
      EXPECT_EQ(group->rank(), threads.rank());
      body(*group, one);
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Nodes, Hierarchical,
                         testing::Combine(testing::Range<size_t>(0, cases.size()), testing::Values(1, 2)));

TEST_P(Hierarchical, CollectivesEqualPlainLoops) {
  on_ranks([](Communicator& group, const Case&) {
    for (size_t count : {0u, 1u, 7u, 31u, 1001u}) {
      test::check_type<float>(group, count);
      test::check_type<int64_t>(group, count);
      test::check_type<BFloat16>(group, count);
      test::check_type<uint8_t>(group, count);
    }
    test::check_type<double>(group, 70001);  // more than one piece of staging
    group.barrier();
  });
}

TEST_P(Hierarchical, SumsAlongTheTreeWhereItSaysSo) {
  on_ranks([](Communicator& group, const Case& one) {
    EXPECT_EQ(group.keeps_tree(), one.tree);
    if (!one.tree) return;
    for (size_t count : {1u, 37u, 300007u}) test::check_tree<float>(group, count);
    test::check_tree<BFloat16>(group, 1033);
  });
}

// Some ranks hand in the group's memory, others any: nodes must not cut such a sum differently.
TEST_P(Hierarchical, TakesMemoryOfBothKindsAtOnce) {
  on_ranks([](Communicator& group, const Case&) {
    constexpr size_t count = 300007;
    Buffer shared = group.allocate(count * sizeof(float)), plain(count * sizeof(float));
    auto* data = (group.rank() == 0 ? plain : shared).as<float>();
    for (size_t i = 0; i < count; ++i) data[i] = test::contribution<float>(group.rank(), i);
    group.all_reduce(data, count, DType::float32);
    for (size_t i = 0; i < count; ++i)
      ASSERT_EQ(data[i], test::reduced<float>(group.size(), i, ReduceOp::sum)) << i;
  });
}

TEST_P(Hierarchical, SameBitsEveryTime) {
  on_ranks([](Communicator& group, const Case&) {
    test::check_same_bits<float>(group, 1003);
    test::check_odd_values<float>(group);
    test::check_odd_values<BFloat16>(group);
  });
}

TEST_P(Hierarchical, Split) {
  on_ranks([](Communicator& group, const Case&) { test::check_split(group); });
}

}  // namespace
}  // namespace trireme
