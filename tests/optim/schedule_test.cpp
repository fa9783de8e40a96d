#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "optim/schedule.h"

namespace trireme {
namespace {

ScheduleConfig schedule(std::string kind, int64_t warmup = 0) {
  ScheduleConfig config;
  config.kind = std::move(kind);
  config.warmup_steps = warmup;
  return config;
}

TEST(Schedule, constant) {
  for (int64_t step : {0, 5, 99, 1000})
    EXPECT_EQ(learning_rate_at(step, {100, 10}, 0.1, schedule("constant")), 0.1);
}

TEST(Schedule, warm_up_is_linear_and_ends_at_full_rate) {
  for (const char* kind : {"constant", "cosine", "step"}) {
    ScheduleConfig config = schedule(kind, 4);
    config.step_epochs = {50};
    EXPECT_NEAR(learning_rate_at(0, {100, 10}, 1.0, config), 0.2, 1e-12) << kind;
    EXPECT_NEAR(learning_rate_at(3, {100, 10}, 1.0, config), 0.8, 1e-12) << kind;
    EXPECT_NEAR(learning_rate_at(4, {100, 10}, 1.0, config), 1.0, 1e-12) << kind;
  }
}

TEST(Schedule, step_at_listed_epochs) {
  ScheduleConfig config = schedule("step");
  config.step_epochs = {2, 4};
  config.gamma = 0.1;
  RunLength length{60, 10};
  EXPECT_NEAR(learning_rate_at(19, length, 1.0, config), 1.0, 1e-12);
  EXPECT_NEAR(learning_rate_at(20, length, 1.0, config), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate_at(39, length, 1.0, config), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate_at(40, length, 1.0, config), 0.01, 1e-12);
}

TEST(Schedule, step_every_so_many_epochs) {
  ScheduleConfig config = schedule("step");
  config.step_every_epochs = 3;
  config.gamma = 0.5;
  EXPECT_NEAR(learning_rate_at(29, {100, 10}, 1.0, config), 1.0, 1e-12);
  EXPECT_NEAR(learning_rate_at(30, {100, 10}, 1.0, config), 0.5, 1e-12);
  EXPECT_NEAR(learning_rate_at(99, {100, 10}, 1.0, config), 0.125, 1e-12);
}

TEST(Schedule, cosine) {
  ScheduleConfig config = schedule("cosine");
  config.final_fraction = 0.1;
  RunLength length{101, 10};
  EXPECT_NEAR(learning_rate_at(0, length, 2.0, config), 2.0, 1e-12);
  EXPECT_NEAR(learning_rate_at(50, length, 2.0, config), (2.0 + 0.2) / 2, 1e-12);
  EXPECT_NEAR(learning_rate_at(100, length, 2.0, config), 0.2, 1e-12);
  EXPECT_NEAR(learning_rate_at(5000, length, 2.0, config), 0.2, 1e-12);
  EXPECT_NEAR(learning_rate_at(25, length, 2.0, config), 0.2 + 1.8 * 0.5 * (1 + std::cos(M_PI / 4)), 1e-12);
}

TEST(Schedule, cosine_counts_from_the_end_of_warm_up) {
  ScheduleConfig config = schedule("cosine", 20);
  EXPECT_NEAR(learning_rate_at(20, {121, 10}, 1.0, config), 1.0, 1e-12);
  EXPECT_NEAR(learning_rate_at(70, {121, 10}, 1.0, config), 0.5, 1e-12);
  EXPECT_NEAR(learning_rate_at(120, {121, 10}, 1.0, config), 0.0, 1e-12);
}

// Values of torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=101, pct_start=0.3): the peak lies at
// step 0.3 * 101 - 1 = 29.3, the end at step 100.
TEST(Schedule, one_cycle) {
  ScheduleConfig config = schedule("one_cycle");
  RunLength length{101, 10};
  EXPECT_NEAR(learning_rate_at(0, length, 1.0, config), 0.04, 1e-12);
  EXPECT_NEAR(learning_rate_at(100, length, 1.0, config), 0.04 / 1e4, 1e-12);
  double rising = 0.04 + 0.96 * 0.5 * (1 - std::cos(M_PI * 10 / 29.3));
  EXPECT_NEAR(learning_rate_at(10, length, 1.0, config), rising, 1e-12);
  double falling = 4e-6 + (1 - 4e-6) * 0.5 * (1 + std::cos(M_PI * (60 - 29.3) / 70.7));
  EXPECT_NEAR(learning_rate_at(60, length, 1.0, config), falling, 1e-12);
  double highest = 0;
  for (int64_t step = 0; step < 101; ++step)
    highest = std::max(highest, learning_rate_at(step, length, 1.0, config));
  EXPECT_NEAR(highest, 1.0, 1e-3);
}

TEST(Schedule, short_runs_stay_finite_and_positive) {
  for (const char* kind : {"constant", "step", "cosine", "one_cycle"}) {
    for (int64_t total : {1, 2, 3}) {
      for (int64_t warmup : {0, 1, 10}) {
        for (int64_t step = 0; step <= total; ++step) {
          double rate = learning_rate_at(step, {total, 1}, 0.1, schedule(kind, warmup));
          EXPECT_TRUE(std::isfinite(rate) && rate >= 0 && rate <= 0.1) << kind << ' ' << total << ' ' << step;
        }
      }
    }
  }
}

TEST(Schedule, unknown_kind) {
  EXPECT_THROW(learning_rate_at(0, {10, 1}, 0.1, schedule("linear")), ConfigError);
}

}  // namespace
}  // namespace trireme
