// What becomes of trials whose steps die, or cannot be started, while the sweep lives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "sweep/logic_fixture.h"

namespace trireme {
namespace {

using testing::HasSubstr;
using State = TrialEnd::State;

TEST(SweepLogic, a_crashed_step_is_begun_again_and_at_the_same_place_fails) {
  LogicByHand sweep(2);
  sweep.start();
  sweep.all_ready();
  EXPECT_EQ(sweep.suggest(), 0);
  EXPECT_EQ(sweep.suggest(), 1);
  sweep.end(0, State::crashed, "signal 11");
  EXPECT_EQ(sweep.trial(0).state, TrialState::running);
  EXPECT_EQ(sweep.orders.at(0).order.attempt, 2);
  EXPECT_EQ(sweep.trial(1).attempts, 1);
  sweep.report(0, 1, 0.5);  // it gets on
  sweep.end(0, State::crashed, "signal 11");
  EXPECT_EQ(sweep.trial(0).state, TrialState::running);
  sweep.end(0, State::crashed, "signal 9");
  EXPECT_EQ(sweep.trial(0).state, TrialState::failed);
  EXPECT_EQ(sweep.trial(0).reason, "crashed 2 times: signal 9");
  EXPECT_EQ(sweep.trial(0).attempts, 3);
  std::vector<std::string> states;
  for (const EndRecord& end : sweep.written<EndRecord>()) states.push_back(end.state);
  EXPECT_THAT(states, testing::ElementsAre("crashed", "crashed", "failed"));
  sweep.finish(1, 0.5);
  EXPECT_EQ(sweep.trial(1).state, TrialState::finished);
}

TEST(SweepLogic, crashes_count_over_starts_and_none_need_be_allowed) {
  LogicByHand first(1);
  first.start();
  first.all_ready();
  first.suggest();
  first.logic->stop("asked to", first.now);
  first.end(0, State::crashed, "signal 11");
  EXPECT_TRUE(first.logic->over());
  EXPECT_EQ(first.trial(0).state, TrialState::waiting);
  LogicByHand second(1, first.records);
  second.start();
  second.all_ready();
  second.end(0, State::crashed, "signal 11");
  EXPECT_EQ(second.trial(0).reason, "crashed 2 times: signal 11");

  LogicByHand never(1);
  never.config.sweep.retries = 0;
  never.start();
  never.all_ready();
  never.suggest();
  never.end(0, State::crashed, "signal 11");
  EXPECT_EQ(never.trial(0).state, TrialState::failed);
  EXPECT_EQ(never.trial(0).reason, "signal 11");
}

// The sweep would have outlived a step that dies: whose step ran when the sweep died is not to blame.
TEST(SweepLogic, a_sweep_of_steps_that_is_killed_counts_no_crash) {
  std::vector<Record> records;
  for (int start = 0; start < 5; ++start) {
    LogicByHand sweep(1, records);
    sweep.config.sweep.launcher = "steps";
    sweep.config.sweep.retries = 0;
    sweep.start();
    sweep.all_ready();
    if (start == 0) sweep.suggest();
    EXPECT_EQ(sweep.trial(0).state, TrialState::running);
    EXPECT_EQ(sweep.orders.at(0).order.attempt, 1);
    records.clear();
    for (const Record& record : sweep.records) records.push_back(record_from_json(to_json(record)));
  }
}

TEST(SweepLogic, what_had_been_decided_about_a_crashed_step_happens) {
  LogicByHand sweep(1);
  sweep.config.sweep.retries = 0;
  sweep.scheduler.verdicts = {{{0, 1}, {Verdict::Kind::stop, "worse"}},
                              {{1, 1}, {Verdict::Kind::pause, "rung"}}};
  sweep.start();
  sweep.all_ready();
  for (int64_t trial : {0, 1}) {
    EXPECT_EQ(sweep.suggest(), trial);
    sweep.report(trial, 1, 0.5);
    sweep.end(trial, State::crashed, "signal 11");
  }
  EXPECT_EQ(sweep.trial(0).state, TrialState::stopped);
  EXPECT_EQ(sweep.trial(1).state, TrialState::paused);
  EXPECT_TRUE(restart_state(sweep.records).crashes.empty());
}

TEST(SweepLogic, a_crash_that_only_repeats_reports_is_at_the_same_place) {
  LogicByHand sweep(1);
  sweep.start();
  sweep.all_ready();
  sweep.suggest();
  for (int crash = 0; crash < 3 && sweep.trial(0).state != TrialState::failed; ++crash) {
    sweep.report(0, 1, 0.5);
    sweep.end(0, State::crashed, "a fault");
  }
  EXPECT_EQ(sweep.trial(0).state, TrialState::failed);
  EXPECT_EQ(sweep.trial(0).reason, "crashed 2 times: a fault");
}

TEST(SweepLogic, a_trial_in_other_hands_is_tried_again) {
  LogicByHand sweep(1);
  sweep.config.budget.trials = 1;
  sweep.start();
  sweep.all_ready();
  sweep.suggest();
  for (int tries = 0; tries < 3; ++tries) {
    sweep.end_held(0, "in use by process 7");
    EXPECT_EQ(sweep.trial(0).state, TrialState::waiting);
    EXPECT_FALSE(sweep.logic->over());
    sweep.tick(2);
    EXPECT_EQ(sweep.trial(0).state, TrialState::running);
    EXPECT_EQ(sweep.trial(0).attempts, 1);
  }
  sweep.tick(400);
  sweep.end_held(0, "in use by process 7");
  ASSERT_TRUE(sweep.logic->failure());
  EXPECT_EQ(sweep.logic->failure()->code(), ExitCode::stopped);
  EXPECT_THAT(sweep.logic->failure()->what(), HasSubstr("trial 0: in use by process 7"));
}

TEST(SweepLogic, a_budget_that_no_trial_spends_ends) {
  LogicByHand sweep(1);
  sweep.config.budget.trials = 0;
  sweep.config.budget.epochs = 10;
  sweep.start();
  sweep.all_ready();
  int64_t failed = 0;
  while (!sweep.logic->over() && failed < 1000) {
    sweep.end(sweep.suggest(), State::failed, "the loss is not a number");
    ++failed;
  }
  EXPECT_EQ(failed, 100);
  ASSERT_TRUE(sweep.logic->failure());
  EXPECT_EQ(sweep.logic->failure()->code(), ExitCode::bad_config);
  EXPECT_THAT(sweep.logic->failure()->what(), HasSubstr("the loss is not a number"));
}

TEST(SweepLogic, an_error_blames_nobody_who_runs) {
  LogicByHand sweep(2);
  sweep.start();
  sweep.all_ready();
  for (int i = 0; i < 2; ++i) sweep.suggest();
  sweep.logic->abandon();
  RestartState restart = restart_state(sweep.records);
  EXPECT_TRUE(restart.crashes.empty());
}

TEST(SweepLogic, fewer_ranks_than_a_trial_has_are_refused) {
  LogicByHand first(2);
  first.start();
  first.all_ready();
  first.suggest(2);
  LogicByHand second(1, first.records);
  test::expect_error(ExitCode::bad_config, {"trial 0", "ranks_per_trial = 2", "the sweep has 1 rank"},
                     [&] { second.start(); });
}

TEST(SweepLogic, a_full_disk_ends_the_sweep_and_no_trial) {
  LogicByHand sweep(2);
  sweep.start();
  sweep.all_ready();
  sweep.suggest();
  sweep.suggest();
  sweep.end(0, State::hindered, "x.h5: No space left on device");
  EXPECT_FALSE(sweep.logic->over());
  sweep.end(1, State::interrupted);
  EXPECT_TRUE(sweep.logic->stopped());
  ASSERT_TRUE(sweep.logic->failure());
  EXPECT_EQ(sweep.logic->failure()->code(), ExitCode::io);
  EXPECT_THAT(sweep.logic->failure()->what(), HasSubstr("trial 0: x.h5: No space left on device"));
  for (int64_t trial : {0, 1}) {
    EXPECT_EQ(sweep.trial(trial).state, TrialState::waiting);
    EXPECT_EQ(sweep.trial(trial).attempts, 0);
  }
}

TEST(SweepLogic, steps_that_cannot_be_started_end_the_sweep_and_cost_no_attempt) {
  LogicByHand sweep(2);
  sweep.start();
  sweep.all_ready();
  sweep.suggest();
  sweep.suggest();
  // One that trains says that starting works.
  sweep.end(0, State::not_begun, "no");
  sweep.end(0, State::not_begun, "no");
  sweep.report(1, 1, 0.5);
  sweep.end(0, State::not_begun, "no");
  sweep.end(0, State::not_begun, "no");
  EXPECT_EQ(sweep.trial(0).state, TrialState::running);
  EXPECT_EQ(sweep.trial(0).attempts, 1);
  EXPECT_FALSE(sweep.logic->failure());
  sweep.end(0, State::not_begun, "srun: no such partition");
  ASSERT_TRUE(sweep.logic->failure());
  EXPECT_THAT(sweep.logic->failure()->what(), HasSubstr("srun: no such partition"));
  EXPECT_FALSE(sweep.logic->over());  // the other saves its state
  sweep.end(1, State::interrupted);
  EXPECT_TRUE(sweep.logic->over());
  EXPECT_TRUE(sweep.logic->stopped());
  EXPECT_EQ(sweep.trial(0).state, TrialState::waiting);
  EXPECT_EQ(sweep.trial(0).attempts, 0);
  EXPECT_EQ(sweep.trial(1).attempts, 0);
  auto leave = std::get<LeaveLetter>(sweep.others.back().second);
  EXPECT_EQ(leave.code, 78);
  EXPECT_EQ(leave.message, sweep.logic->failure()->what());
}

}  // namespace
}  // namespace trireme
