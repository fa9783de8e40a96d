// A shard: each ticket once, in order, whole clocks to the bit, and no torn pull.
#include "comm/parameter_server/shard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "base/error.h"
#include "comm/parameter_server/shard_fixture.h"

namespace trireme {
namespace {

std::vector<int64_t> numbers_below(int64_t end) {
  std::vector<int64_t> all;
  for (int64_t n = 0; n < end; ++n) all.push_back(n);
  return all;
}

TEST(Shard, AppliesEachTicketOnceHoweverOftenItIsPushed) {
  const ShardLayout layout = test_layout();
  const int32_t pieces = 3;
  const int64_t tickets = 60;
  for (size_t lanes : {1u, 2u, 3u}) {
    TestMemory memory(layout);
    SumRules rules(layout);
    ApplyPool pool(lanes);
    ShardOptions options;
    options.pieces = pieces;
    Shard shard(memory.memory, layout, rules, pool, options);
    std::atomic<int> taken{0}, early{0}, duplicates{0};
    Counter applied;
    std::vector<std::thread> workers;
    for (int32_t w = 0; w < 3; ++w) {
      workers.emplace_back([&, w] {
        std::mt19937 random(static_cast<uint32_t>(w));
        std::vector<int64_t> order = numbers_below(tickets);
        for (size_t i = 0; i + 1 < order.size(); ++i)
          std::swap(order[i], order[i + random() % std::min<size_t>(8, order.size() - i)]);
        for (int64_t n : order) {
          for (int time = 0; time < 2; ++time) {
            bool is_new = shard.push(push_info(Ticket::numbered(n, pieces), 0, w), payload_of(layout, n),
                                     [&](const Applied& how) {
                                       // An acknowledgement promises that the first is in the values.
                                       if (how.version > shard.version()) ++early;
                                       if (how.duplicate) ++duplicates;
                                       applied.add();
                                     });
            if (is_new) ++taken;
          }
        }
      });
    }
    for (auto& worker : workers) worker.join();
    ASSERT_TRUE(applied.reaches(tickets * 6));
    EXPECT_EQ(taken, tickets);
    EXPECT_EQ(duplicates, tickets * 5);
    EXPECT_EQ(early, 0);
    EXPECT_EQ(rules.collisions, 0);
    EXPECT_EQ(shard.version(), static_cast<uint64_t>(tickets));
    EXPECT_EQ(shard.window().complete(), tickets / pieces);
    EXPECT_EQ(updates_in(memory.memory.versions), static_cast<uint64_t>(tickets));
    EXPECT_EQ(memory.values(), sum_of(layout, numbers_below(tickets)));
    EXPECT_EQ(rules.live_slots, times(3, memory.values()));
  }
}

// Rules that stand still until they are let go.
class GateRules : public SumRules {
 public:
  using SumRules::SumRules;
  void update(size_t b, Range block, float* values, const float* gradient, const float* pulled,
              const UpdateInfo& info, ShardState which) override {
    std::unique_lock lock(mutex_);
    open_.wait(lock, [&] { return is_open_; });
    lock.unlock();
    SumRules::update(b, block, values, gradient, pulled, info, which);
  }
  void open() {
    std::lock_guard lock(mutex_);
    is_open_ = true;
    open_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable open_;
  bool is_open_ = false;
};

TEST(Shard, ADuplicateIsNotAcknowledgedBeforeTheFirstIsApplied) {
  const ShardLayout layout = test_layout();
  TestMemory memory(layout);
  GateRules rules(layout);
  ApplyPool pool(2);
  Shard shard(memory.memory, layout, rules, pool, {});
  Counter first, second;
  EXPECT_TRUE(shard.push(push_info({0, 0}), payload_of(layout, 0), [&](const Applied&) { first.add(); }));
  EXPECT_FALSE(shard.push(push_info({0, 0}), payload_of(layout, 0), [&](const Applied& how) {
    EXPECT_TRUE(how.duplicate);
    second.add();
  }));
  EXPECT_EQ(second.count(), 0);
  rules.open();
  ASSERT_TRUE(first.reaches(1) && second.reaches(1));
  EXPECT_FALSE(shard.push(push_info({0, 0}), payload_of(layout, 0), [&](const Applied&) { second.add(); }));
  EXPECT_EQ(second.count(), 2) << "nothing to wait for: told at once";
}

TEST(Shard, AppliesInTheOrderOfCallsAndCountsStaleness) {
  const ShardLayout layout = test_layout();
  TestMemory memory(layout);
  SumRules rules(layout);
  ApplyPool pool(3);
  ShardOptions options;
  options.pieces = 4;
  options.first_lane = 2;
  options.first_clock = 5;
  Shard shard(memory.memory, layout, rules, pool, options);
  std::vector<int64_t> order = numbers_below(100);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  std::vector<uint64_t> staleness;  // callbacks come in order, from one thread after the other
  Counter applied;
  for (size_t i = 0; i < order.size(); ++i) {
    shard.push(push_info(Ticket::numbered(order[i] + 20, 4), i / 2), payload_of(layout, order[i]),
               [&](const Applied& how) {
                 staleness.push_back(how.staleness);
                 applied.add();
               });
  }
  ASSERT_TRUE(applied.reaches(100));
  for (const auto& came : rules.came) {
    ASSERT_EQ(came.size(), 100u);
    for (size_t i = 0; i < came.size(); ++i) {
      EXPECT_EQ((Ticket{came[i].clock, came[i].piece}), Ticket::numbered(order[i] + 20, 4));
      EXPECT_EQ(came[i].pieces_added, 1);
      EXPECT_EQ(came[i].staleness, i - i / 2);
    }
  }
  for (size_t i = 0; i < staleness.size(); ++i) EXPECT_EQ(staleness[i], i - i / 2);
  EXPECT_FALSE(shard.push(push_info({4, 3}), payload_of(layout, 0), [](const Applied&) {}))
      << "done before the run";
}

// The order of comm/reduce.h, said again.
float tree(const std::vector<float>& values, size_t first, size_t last) {
  if (last - first == 1) return values[first];
  size_t half = 1;
  while (half * 2 < last - first) half *= 2;
  return tree(values, first, first + half) + tree(values, first + half, last);
}

TEST(Shard, WholeClocksAreTheSameBitsWhoeverComesFirst) {
  ShardLayout layout = test_layout();
  layout.blocks.push_back({layout.elements(), layout.elements() + 10000});  // more than a chunk
  layout.states = {layout.elements(), layout.elements() + 6};
  const int64_t clocks = 6;
  for (int32_t pieces : {1, 2, 3, 5}) {
    const size_t n = layout.elements() + layout.tail_elements;
    std::mt19937 random(9);
    std::normal_distribution<float> normal;
    std::vector<std::vector<float>> gradients(static_cast<size_t>(clocks * pieces), std::vector<float>(n));
    for (auto& gradient : gradients) {
      for (float& g : gradient) g = normal(random);
    }
    std::vector<float> expected(layout.size(), 0);
    for (int64_t c = 0; c < clocks; ++c) {
      for (size_t i = 0; i < layout.size(); ++i) {
        size_t from = i < layout.elements() ? i : layout.elements() + (i - layout.elements()) / 2;
        std::vector<float> parts;
        for (int32_t p = 0; p < pieces; ++p)
          parts.push_back(gradients[static_cast<size_t>(c * pieces + p)][from]);
        expected[i] += tree(parts, 0, parts.size());
      }
    }
    for (uint32_t seed = 0; seed < 4; ++seed) {
      TestMemory memory(layout);
      SumRules rules(layout);
      ApplyPool pool(2);
      ShardOptions options;
      options.pieces = pieces;
      options.collect_clocks = true;
      Shard shard(memory.memory, layout, rules, pool, options);
      std::vector<int64_t> order = numbers_below(clocks * pieces);
      std::shuffle(order.begin(), order.end(), std::mt19937(seed));
      Counter applied;
      for (int64_t number : order) {
        shard.push(push_info(Ticket::numbered(number, pieces)),
                   payload_of(gradients[static_cast<size_t>(number)]),
                   [&](const Applied&) { applied.add(); });
      }
      ASSERT_TRUE(applied.reaches(static_cast<int>(order.size())));
      EXPECT_EQ(shard.version(), static_cast<uint64_t>(clocks));
      std::vector<float> values = memory.values();
      EXPECT_EQ(std::memcmp(values.data(), expected.data(), values.size() * sizeof(float)), 0)
          << pieces << " pieces, seed " << seed;
      EXPECT_EQ(rules.came[0].front().pieces_added, pieces);
    }
  }
}

TEST(Shard, AClockIsAcknowledgedWhenAllOfItIsApplied) {
  const ShardLayout layout = test_layout();
  TestMemory memory(layout);
  SumRules rules(layout);
  ApplyPool pool(2);
  ShardOptions options;
  options.pieces = 3;
  options.collect_clocks = true;
  Shard shard(memory.memory, layout, rules, pool, options);
  Counter applied;
  auto count = [&](const Applied&) { applied.add(); };
  PushInfo nothing = push_info({0, 2});
  nothing.format = PayloadFormat::nothing;
  EXPECT_TRUE(shard.push(push_info({0, 1}), payload_of(layout, 1), count));
  EXPECT_TRUE(shard.push(nothing, {}, count));
  EXPECT_FALSE(shard.push(push_info({0, 1}), payload_of(layout, 1), count));
  EXPECT_EQ(applied.count(), 0);
  EXPECT_EQ(shard.version(), 0u);
  EXPECT_TRUE(shard.push(push_info({0, 0}), payload_of(layout, 0), count));
  ASSERT_TRUE(applied.reaches(4));
  EXPECT_EQ(memory.values(), sum_of(layout, {0, 1}));
}

TEST(Shard, DecodesEachFormatBlockByBlock) {
  const ShardLayout layout = test_layout();
  const PayloadShape shape = layout.payload();
  TestMemory memory(layout);
  SumRules rules(layout);
  ApplyPool pool(2);
  Shard shard(memory.memory, layout, rules, pool, {});
  std::vector<float> values, tail, parameters(shape.elements, 0.5f), expected(layout.size(), 0);
  for (size_t i = 0; i < shape.elements; ++i) values.push_back(gradient_at(1, i));
  for (size_t i = 0; i < shape.tail_elements; ++i) tail.push_back(gradient_at(1, shape.elements + i));
  Encoder encoder;
  Counter applied;
  const size_t everything = shape.elements;  // top_k of all: nothing is left out
  int64_t clock = 0;
  for (PayloadFormat format : {PayloadFormat::float32, PayloadFormat::bfloat16, PayloadFormat::top_k,
                               PayloadFormat::float32_with_parameters, PayloadFormat::nothing}) {
    auto bytes = std::make_shared<std::vector<std::byte>>(payload_bytes(format, shape, everything));
    encoder.encode(format, {values, tail, parameters}, {}, *bytes);
    PushInfo info = push_info({clock++, 0});
    info.format = format;
    EXPECT_TRUE(shard.push(info, {bytes, *bytes}, [&](const Applied&) { applied.add(); }));
  }
  ASSERT_TRUE(applied.reaches(5));
  EXPECT_EQ(memory.values(), sum_of(layout, {1, 1, 1, 1}));
  EXPECT_EQ(rules.with_parameters, static_cast<int>(layout.blocks.size()))
      << "states have no pulled parameters";
  EXPECT_EQ(shard.version(), 4u) << "a ticket without a gradient is no update";
  EXPECT_EQ(shard.window().complete(), 5);
}

TEST(Shard, RefusesBeforeAnythingIsChanged) {
  const ShardLayout layout = test_layout();
  TestMemory memory(layout);
  SumRules rules(layout);
  ApplyPool pool(2);
  Shard shard(memory.memory, layout, rules, pool, {});
  Counter applied;
  auto count = [&](const Applied&) { applied.add(); };
  EXPECT_THROW(shard.push(push_info({0, 0}), payload_of({1, 2, 3}), count), CommError);
  EXPECT_THROW(shard.push(push_info({0, 1}), payload_of(layout, 0), count), CommError);
  EXPECT_THROW(shard.push(push_info({-3, 0}), payload_of(layout, 0), count), CommError);
  EXPECT_THROW(shard.push(push_info({int64_t{1} << 60, 0}), payload_of(layout, 0), count), CommError);
  EXPECT_TRUE(shard.push(push_info({0, 0}), payload_of(layout, 0), count)) << "none of these took the ticket";
  ASSERT_TRUE(applied.reaches(1));
  EXPECT_EQ(memory.values(), sum_of(layout, {0}));

  ShardLayout gap = layout;
  gap.blocks[1].begin += 1;
  EXPECT_THROW(Shard(memory.memory, gap, rules, pool, {}), CommError);
  EXPECT_THROW(Shard({memory.memory.versions, memory.memory.values.first(3)}, layout, rules, pool, {}),
               CommError);
}

// Each update sets all of a block to the number of updates that the block has had, slowly.
class PatternRules : public ShardRules {
 public:
  void update(size_t, Range block, float* values, const float*, const float*, const UpdateInfo&,
              ShardState) override {
    float next = values[block.begin] + 1;
    for (size_t i = block.begin; i < block.end; ++i) values[i] = next;
  }
  void copy_slots(size_t, Range) override {}
};

TEST(Shard, NoPullIsTorn) {
  ShardLayout layout;
  layout.blocks = even_blocks(50000, 9000);
  TestMemory memory(layout);
  PatternRules rules;
  ApplyPool pool(2);
  Shard shard(memory.memory, layout, rules, pool, {});
  const Payload payload = payload_of(std::vector<float>(layout.elements(), 1.0f));
  std::atomic<bool> over{false};
  std::thread worker([&] {
    for (int64_t clock = 0; clock < 3000; ++clock) {
      Counter applied;
      shard.push(push_info({clock, 0}), payload, [&](const Applied&) { applied.add(); });
      EXPECT_TRUE(applied.reaches(1));
    }
    over = true;
  });
  int pulls = 0, torn = 0;
  uint64_t before = 0;
  while (!over) {
    std::vector<float> values(layout.elements());
    uint64_t version =
        copy_consistent(memory.memory.versions, memory.blocks, memory.memory.values.data(), values.data());
    EXPECT_GE(version, before);
    before = version;
    float least = values[0];
    for (const Range& block : layout.blocks) {
      for (size_t i = block.begin; i < block.end; ++i) torn += values[i] != values[block.begin] ? 1 : 0;
      least = std::min(least, values[block.begin]);
    }
    EXPECT_EQ(least, static_cast<float>(version));
    ++pulls;
  }
  worker.join();
  EXPECT_EQ(torn, 0);
  EXPECT_GT(pulls, 3);
  std::vector<float> last(layout.size());
  Counter copied;
  shard.copy_values(last, [&](uint64_t version) {
    EXPECT_EQ(version, 3000u);
    copied.add();
  });
  ASSERT_TRUE(copied.reaches(1));
  EXPECT_EQ(last, std::vector<float>(layout.size(), 3000));
}

TEST(BlockVersions, TellWhatMustBeReadAgain) {
  EXPECT_TRUE(is_whole(4, 4));
  EXPECT_FALSE(is_whole(5, 5));
  EXPECT_FALSE(is_whole(4, 6));
  std::vector<uint64_t> before{2, 3, 4, 8}, after{2, 3, 6, 8};
  EXPECT_EQ(torn_blocks(before, after), (std::vector<size_t>{1, 2}));
  EXPECT_EQ(updates_in(before), 1u);
  EXPECT_THROW(torn_blocks(before, std::span(after).first(3)), CommError);
  EXPECT_EQ(version_bytes(1), 64u);
  EXPECT_EQ(version_bytes(9), 128u);
}

class BrokenRules : public PatternRules {
  void update(size_t, Range, float*, const float*, const float*, const UpdateInfo&, ShardState) override {
    throw DeviceError("broken");
  }
};

TEST(Shard, AFailureOfTheRulesReachesWhoPushes) {
  const ShardLayout layout = test_layout();
  TestMemory memory(layout);
  BrokenRules rules;
  ApplyPool pool(2);
  Shard shard(memory.memory, layout, rules, pool, {});
  std::atomic<int> applied{0};
  EXPECT_THROW(
      for (int64_t clock = 0; clock < 1000000; ++clock) {
        shard.push(push_info({clock, 0}), payload_of(layout, 0), [&](const Applied&) { ++applied; });
        std::this_thread::yield();
      },
      DeviceError);
  EXPECT_EQ(applied, 0);
}

}  // namespace
}  // namespace trireme
