// Cuts: the state after exactly the tickets of the clocks before, taken while later ones are applied.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/error.h"
#include "comm/parameter_server/shard_fixture.h"

namespace trireme {
namespace {

std::vector<int64_t> range_of_numbers(int64_t begin, int64_t end) {
  std::vector<int64_t> all;
  for (int64_t n = begin; n < end; ++n) all.push_back(n);
  return all;
}

// An order of arrival in which tickets are up to `spread` places early or late.
std::vector<int64_t> arrival(int64_t begin, int64_t end, size_t spread, uint32_t seed) {
  std::vector<int64_t> order = range_of_numbers(begin, end);
  std::mt19937 random(seed);
  for (size_t i = 0; i < order.size(); ++i)
    std::swap(order[i], order[i + random() % std::min(spread, order.size() - i)]);
  return order;
}

struct Case {
  size_t spread;
  int32_t pieces;
  bool collect;
  size_t lanes;
  size_t pushers;
};

// Pushes from several threads while cuts at clocks 8, 12, 13, 20 and at the end (24) come, are compared and
// released.
void try_cuts(const Case& one, uint32_t seed) {
  const ShardLayout layout = test_layout();
  const int64_t first = 5, end = 24;
  TestMemory memory(layout);
  SumRules rules(layout);
  ApplyPool pool(one.lanes);
  ShardOptions options;
  options.pieces = one.pieces;
  options.first_clock = first;
  options.collect_clocks = one.collect;
  Shard shard(memory.memory, layout, rules, pool, options);
  const std::vector<int64_t> cuts{8, 12, 13, 20, end};
  std::vector<Counter> complete(cuts.size());
  for (size_t i = 0; i < cuts.size(); ++i) shard.set_cut(cuts[i], [&complete, i] { complete[i].add(); });

  const std::vector<int64_t> order = arrival(first * one.pieces, end * one.pieces, one.spread, seed);
  Counter applied;
  std::vector<std::thread> workers;
  for (size_t w = 0; w < one.pushers; ++w) {
    workers.emplace_back([&, w] {
      for (size_t i = w; i < order.size(); i += one.pushers) {
        shard.push(push_info(Ticket::numbered(order[i], one.pieces)), payload_of(layout, order[i]),
                   [&](const Applied&) { applied.add(); });
      }
    });
  }
  for (size_t i = 0; i < cuts.size(); ++i) {
    ASSERT_TRUE(complete[i].reaches(1)) << "the cut at clock " << cuts[i] << " never comes";
    auto expected = sum_of(layout, range_of_numbers(first * one.pieces, cuts[i] * one.pieces));
    if (seed % 3 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // others pile up meanwhile
    std::span<const float> values = shard.cut_values();
    ASSERT_EQ(std::vector<float>(values.begin(), values.end()), expected) << "clock " << cuts[i];
    ASSERT_EQ(rules.cut_slots, times(3, expected)) << "clock " << cuts[i];
    for (size_t later = i + 1; later < cuts.size(); ++later) ASSERT_EQ(complete[later].count(), 0);
    shard.release_cut();
  }
  for (auto& worker : workers) worker.join();
  ASSERT_TRUE(applied.reaches(static_cast<int>(order.size())));
  auto expected = sum_of(layout, range_of_numbers(first * one.pieces, end * one.pieces));
  EXPECT_EQ(memory.values(), expected);
  EXPECT_EQ(rules.live_slots, times(3, expected));
  EXPECT_EQ(rules.collisions, 0);
  for (const Counter& counter : complete) EXPECT_EQ(counter.count(), 1);
}

TEST(Cut, HoldsExactlyTheTicketsOfTheClocksBefore) {
  uint32_t seed = 0;
  for (size_t spread : {1u, 6u, 30u, 100u}) {
    for (bool collect : {false, true}) {
      for (size_t lanes : {1u, 3u}) {
        for (size_t pushers : {1u, 2u}) {
          for (int repeat = 0; repeat < 6; ++repeat) {
            SCOPED_TRACE(testing::Message() << "spread " << spread << ", collect " << collect << ", lanes "
                                            << lanes << ", pushers " << pushers << ", seed " << seed);
            try_cuts({spread, 1 + static_cast<int32_t>(seed % 4), collect, lanes, pushers}, seed);
            if (HasFatalFailure()) return;
            ++seed;
          }
        }
      }
    }
  }
}

struct OneShard {
  OneShard(int32_t pieces, bool collect) : memory(layout), rules(layout), pool(2) {
    ShardOptions options;
    options.pieces = pieces;
    options.collect_clocks = collect;
    shard.emplace(memory.memory, layout, rules, pool, options);
  }
  void push(Ticket ticket) {
    shard->push(push_info(ticket), payload_of(layout, ticket.number(pieces())),
                [&](const Applied&) { applied.add(); });
  }
  int32_t pieces() const { return shard->window().pieces(); }

  ShardLayout layout = test_layout();
  Counter applied;
  TestMemory memory;
  SumRules rules;
  ApplyPool pool;
  std::optional<Shard> shard;
};

TEST(Cut, AnUpdateOfTheNextCutWaitsForTheReleaseAndLetsOthersPass) {
  OneShard one(2, false);
  Counter first, second;
  one.shard->set_cut(1, [&] { first.add(); });
  one.shard->set_cut(2, [&] { second.add(); });
  one.push({0, 0});
  one.push({2, 0});  // of the second cut: waits
  one.push({1, 1});
  one.push({0, 1});  // late: passes, and completes the first cut
  ASSERT_TRUE(first.reaches(1));
  ASSERT_TRUE(one.applied.reaches(3));
  one.push({1, 0});  // all below the second cut are in, but the copy is still in use
  ASSERT_TRUE(one.applied.reaches(4));
  EXPECT_EQ(one.shard->version(), 4u);
  EXPECT_EQ(second.count(), 0);
  auto values = one.shard->cut_values();
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()), sum_of(one.layout, {0, 1}));
  EXPECT_EQ(one.memory.values(), sum_of(one.layout, {0, 1, 2, 3}));
  one.shard->release_cut();
  ASSERT_TRUE(second.reaches(1));
  ASSERT_TRUE(one.applied.reaches(5));
  values = one.shard->cut_values();
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()), sum_of(one.layout, {0, 1, 2, 3}));
  EXPECT_EQ(one.memory.values(), sum_of(one.layout, {0, 1, 2, 3, 4}));
}

TEST(Cut, WaitsForTicketsWithoutAGradientToo) {
  OneShard one(2, false);
  Counter complete;
  one.shard->set_cut(1, [&] { complete.add(); });
  one.push({1, 0});
  one.push({0, 1});
  ASSERT_TRUE(one.applied.reaches(2));
  EXPECT_THROW(one.shard->cut_values(), CommError);
  EXPECT_THROW(one.shard->release_cut(), CommError);
  PushInfo nothing = push_info({0, 0});
  nothing.format = PayloadFormat::nothing;
  one.shard->push(nothing, {}, [&](const Applied&) { one.applied.add(); });
  ASSERT_TRUE(complete.reaches(1));
  auto values = one.shard->cut_values();
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()), sum_of(one.layout, {1}));
}

TEST(Cut, OneThatCannotBeIsRefused) {
  for (bool collect : {false, true}) {
    OneShard one(1, collect);
    one.push({0, 0});
    one.push({1, 0});
    ASSERT_TRUE(one.applied.reaches(2));
    EXPECT_THROW(one.shard->set_cut(1, [] {}), CommError) << "clock 1 has been applied";
    Counter complete;
    one.shard->set_cut(2, [&] { complete.add(); });
    ASSERT_TRUE(complete.reaches(1)) << "all is in: complete at once";
    EXPECT_THROW(one.shard->set_cut(2, [] {}), CommError);
    one.shard->set_cut(3, [] {});
    EXPECT_THROW(one.shard->set_cut(3, [] {}), CommError);
    one.shard->release_cut();
    EXPECT_THROW(one.shard->cut_values(), CommError) << "the next one is not complete";
  }
}

}  // namespace
}  // namespace trireme
