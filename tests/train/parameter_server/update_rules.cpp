// Single updates against formulas written by hand.
#include "train/parameter_server/shard_update_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/expect_error.h"

namespace trireme::test {
namespace {

// One tensor of 32, a state of 16 that statistics of 16 move.
ArenaLayout small_layout() {
  ArenaLayout layout;
  layout.parameters = {{"w", {2, 16}, 0}};
  layout.parameter_elements = 32;
  layout.statistics = {{"mean", {16}, 32}};
  layout.gradient_elements = 48;
  layout.states = {{"running_mean", {16}, 0}};
  layout.state_elements = 16;
  layout.running_means = {{32, 0, 16, 0.25}};
  return layout;
}

class UpdateRules : public testing::Test {
 protected:
  UpdateRules() {
    config_.parallel.mode = "parameter_server";
    config_.optimizer.learning_rate = 0.5;
    config_.optimizer.momentum = 0;
    for (size_t i = 0; i < 32; ++i) {
      values_[i] = 0.25f * static_cast<float>(i % 5) - 0.5f;
      gradient_[i] = 0.125f * static_cast<float>(i % 7) - 0.25f;
      pulled_[i] = values_[i] - 0.5f;
    }
    for (size_t i = 0; i < 16; ++i) {
      values_[32 + i] = static_cast<float>(i);
      tail_[i] = 0.5f;
    }
  }

  ShardUpdateRules make(int64_t pieces) {
    cut_ = cut_flat_vector(
        nets_, 1, config_.parameter_server.mode == "easgd" ? PushTail::states : PushTail::statistics, 16);
    return ShardUpdateRules(config_, {100, 10}, nets_, cut_.front(), {.pieces = pieces});
  }

  // All blocks, and the states.
  void update(ShardUpdateRules& rules, const UpdateInfo& info, std::vector<float>& values,
              ShardState which = ShardState::live, bool with_parameters = false) {
    std::vector<Range> blocks = cut_.front().layout.all_blocks();
    ASSERT_EQ(blocks.size(), 3u);
    for (size_t b = 0; b < 2; ++b) {
      rules.update(b, blocks[b], values.data(), gradient_.data() + blocks[b].begin,
                   with_parameters ? pulled_.data() + blocks[b].begin : nullptr, info, which);
    }
    rules.update(2, blocks[2], values.data(), tail_.data(), nullptr, info, which);
  }

  Config config_;
  ArenaLayout layout_ = small_layout();
  std::vector<FlatNet> nets_{{layout_, config_.optimizer}};
  std::vector<FlatShard> cut_;
  std::vector<float> values_ = std::vector<float>(48);
  std::vector<float> gradient_ = std::vector<float>(32), pulled_ = std::vector<float>(32),
                     tail_ = std::vector<float>(16);
};

TEST_F(UpdateRules, a_single_push_moves_by_its_part) {
  config_.parameter_server.mode = "async";
  auto rules = make(4);
  std::vector<float> moved = values_;
  update(rules, {.clock = 3, .piece = 1, .staleness = 9}, moved);
  for (size_t i = 0; i < 32; ++i) EXPECT_EQ(moved[i], values_[i] - 0.125f * (4 * gradient_[i])) << i;
  // momentum 0.25 / 4 towards 0.5 * 4
  for (size_t i = 32; i < 48; ++i) EXPECT_EQ(moved[i], 0.9375f * values_[i] + 0.0625f * 2.0f) << i;
}

TEST_F(UpdateRules, staleness_divides_the_rate) {
  config_.parameter_server.scale_by_staleness = true;
  for (auto [staleness, divisor] : {std::pair<uint64_t, float>{0, 1}, {3, 1}, {4, 1}, {8, 2}, {16, 4}}) {
    auto rules = make(4);
    std::vector<float> moved = values_;
    update(rules, {.clock = 3, .piece = 1, .staleness = staleness}, moved);
    for (size_t i = 0; i < 32; ++i)
      EXPECT_EQ(moved[i], values_[i] - 0.125f / divisor * (4 * gradient_[i])) << i;
  }
}

TEST_F(UpdateRules, the_schedule_goes_by_the_clock) {
  config_.schedule.kind = "step";
  config_.schedule.step_epochs = {2};
  config_.schedule.gamma = 0.25;
  for (auto [clock, rate] : {std::pair<int64_t, float>{19, 0.5f}, {20, 0.125f}}) {
    auto rules = make(1);
    std::vector<float> moved = values_;
    update(rules, {.clock = clock}, moved);
    for (size_t i = 0; i < 32; ++i) EXPECT_EQ(moved[i], values_[i] - rate * gradient_[i]) << i;
  }
}

// Bias corrections count the updates that moments have had.
TEST_F(UpdateRules, adam_counts_tickets) {
  config_.optimizer.kind = "adam";
  auto rules = make(4);
  std::vector<float> moved = values_, expected = values_;
  std::vector<double> first(32), second(32);
  for (int32_t ticket = 0; ticket < 6; ++ticket) {
    update(rules, {.clock = ticket / 4, .piece = ticket % 4}, moved);
    for (size_t i = 0; i < 32; ++i) {
      double g = 4 * gradient_[i], t = ticket + 1;
      first[i] = 0.9 * first[i] + 0.1 * g;
      second[i] = 0.999 * second[i] + 0.001 * g * g;
      double step =
          first[i] / (1 - std::pow(0.9, t)) / (std::sqrt(second[i] / (1 - std::pow(0.999, t))) + 1e-8);
      expected[i] -= static_cast<float>(0.125 * step);
      ASSERT_NEAR(moved[i], expected[i], 2e-6) << ticket << " " << i;
    }
  }
}

TEST_F(UpdateRules, dcasgd_corrects_to_first_order) {
  config_.parameter_server.mode = "dcasgd";
  config_.parameter_server.dcasgd_lambda = 0.5;
  auto rules = make(4);
  std::vector<float> moved = values_;
  update(rules, {.clock = 3, .piece = 1, .staleness = 2}, moved, ShardState::live, true);
  for (size_t i = 0; i < 32; ++i) {
    float g = 4 * gradient_[i];
    EXPECT_FLOAT_EQ(moved[i], values_[i] - 0.125f * (g + 0.5f * g * g * (values_[i] - pulled_[i]))) << i;
  }
  expect_error(ExitCode::internal, {"dcasgd", "lacks the parameters"}, [&] {
    rules.update(0, {0, 16}, moved.data(), gradient_.data(), nullptr, {}, ShardState::live);
  });
}

TEST_F(UpdateRules, easgd_adds) {
  config_.parameter_server.mode = "easgd";
  auto rules = make(4);
  EXPECT_TRUE(rules.slots().empty());
  EXPECT_EQ(cut_.front().layout.tail_elements, 16u);
  std::vector<float> moved = values_;
  update(rules, {.clock = 3, .piece = 1}, moved);
  for (size_t i = 0; i < 32; ++i) EXPECT_EQ(moved[i], values_[i] + gradient_[i]);
  for (size_t i = 32; i < 48; ++i) EXPECT_EQ(moved[i], values_[i] + 0.5f);
}

// A cut has slots of its own, which begin as copies.
TEST_F(UpdateRules, a_cut_has_its_own_slots) {
  config_.optimizer.momentum = 0.5;
  auto rules = make(2);
  std::vector<float> live = values_;
  update(rules, {.clock = 0, .piece = 0}, live);
  std::vector<Range> blocks = cut_.front().layout.all_blocks();
  for (size_t b = 0; b < blocks.size(); ++b) rules.copy_slots(b, blocks[b]);
  std::vector<float> cut = live;
  update(rules, {.clock = 1, .piece = 0}, live);
  update(rules, {.clock = 0, .piece = 1}, live);
  update(rules, {.clock = 0, .piece = 1}, cut, ShardState::cut);
  auto slots = rules.slots();
  ASSERT_EQ(slots.size(), 1u);
  EXPECT_EQ(slots[0].name, "momentum");
  EXPECT_EQ(slots[0].range, (Range{0, 32}));
  for (size_t i = 0; i < 32; ++i) {
    float g = 2 * gradient_[i];
    EXPECT_FLOAT_EQ(slots[0].live[i], 1.75f * g);
    EXPECT_FLOAT_EQ(slots[0].cut[i], 1.5f * g);
    EXPECT_FLOAT_EQ(cut[i], values_[i] - 0.25f * 2.5f * g);
  }
}

}  // namespace
}  // namespace trireme::test
