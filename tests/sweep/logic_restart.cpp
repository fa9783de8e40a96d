// What a sweep that is started again does with what it finds, driven by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sweep/logic_fixture.h"

namespace trireme {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using State = TrialEnd::State;

TEST(SweepLogic, after_a_restart_states_are_gone_and_trials_go_on_with_their_own) {
  LogicByHand first(1);
  first.scheduler.copies = true;
  for (int64_t trial : {0, 1}) first.scheduler.verdicts[{trial, 1}] = {Verdict::Kind::pause, ""};
  first.config.budget.trials = 2;
  first.start();
  first.all_ready();
  for (int64_t trial : {0, 1}) {
    first.suggest();
    first.report(trial, 1, 0.5);
    if (trial == 0) first.end(trial, State::paused);
  }
  // Killed here: trial 1 has been told to pause.
  LogicByHand second(1, first.records);
  second.scheduler.copies = true;
  second.config.budget.trials = 2;
  second.scheduler.take_ups = {{.trial = 1, .source = 0, .point = {0.75}}};
  second.start();
  EXPECT_EQ(second.trial(1).state, TrialState::paused);
  second.ready(0);
  EXPECT_EQ(second.trial(1).state, TrialState::running);
  EXPECT_EQ(second.orders.at(1).source, -1);
  EXPECT_EQ(second.orders.at(1).own_at, -1);
  EXPECT_EQ(second.trial(1).point, Point{0.5});
}

TEST(SweepLogic, a_trial_that_crashes_again_at_the_same_place_has_failed) {
  std::vector<Record> records;
  for (int start = 0; start < 2; ++start) {
    LogicByHand sweep(1, records);
    sweep.start();
    sweep.all_ready();
    if (start == 0) sweep.suggest();
    EXPECT_EQ(sweep.orders.at(0).order.attempt, start + 1);
    records = sweep.records;  // killed
  }
  LogicByHand last(1, records);
  last.start();
  EXPECT_EQ(last.trial(0).state, TrialState::failed);
  EXPECT_EQ(last.trial(0).reason, "crashed 2 times");
  last.ready(0);
  EXPECT_EQ(last.suggest(), 1);
}

TEST(SweepLogic, where_a_trial_has_left_a_note_of_its_crash_the_others_are_not_to_blame) {
  std::vector<Record> records;
  auto note_of = [](int64_t trial) {
    return trial == 1 ? std::optional<std::string>("signal 11, segmentation fault") : std::nullopt;
  };
  for (int start = 0; start < 2; ++start) {
    LogicByHand sweep(3, records);
    if (start > 0) sweep.note_of = note_of;
    sweep.start();
    sweep.all_ready();
    for (int trial = 0; start == 0 && trial < 3; ++trial) sweep.suggest();
    EXPECT_EQ(sweep.orders.at(0).order.attempt, 1);
    EXPECT_EQ(sweep.orders.at(1).order.attempt, start + 1);
    records = sweep.records;  // killed
  }
  LogicByHand last(3, records);
  last.note_of = note_of;
  last.start();
  last.all_ready();
  EXPECT_EQ(last.trial(1).state, TrialState::failed);
  EXPECT_EQ(last.trial(1).reason, "crashed 2 times (signal 11, segmentation fault)");
  for (int64_t trial : {0, 2}) {
    EXPECT_EQ(last.trial(trial).state, TrialState::running);
    EXPECT_EQ(last.trial(trial).attempts, 1);
  }
}

TEST(SweepLogic, a_trial_that_gets_on_between_crashes_is_begun_again) {
  std::vector<Record> records;
  for (int start = 0; start < 6; ++start) {
    LogicByHand sweep(1, records);
    sweep.start();
    sweep.all_ready();
    if (start == 0) sweep.suggest();
    ASSERT_EQ(sweep.trial(0).state, TrialState::running);
    sweep.report(0, start + 1, 0.5);
    records = sweep.records;
  }
}

TEST(SweepLogic, a_trial_that_only_repeats_itself_between_crashes_has_failed) {
  std::vector<Record> records;
  for (int start = 0; start < 3; ++start) {
    LogicByHand sweep(1, records);
    sweep.start();
    sweep.all_ready();
    if (start == 0) sweep.suggest();
    if (start == 2) {
      EXPECT_EQ(sweep.trial(0).state, TrialState::failed);
      EXPECT_EQ(sweep.trial(0).reason, "crashed 2 times");
      return;
    }
    ASSERT_EQ(sweep.trial(0).state, TrialState::running);
    for (int64_t epoch : {1, 2}) sweep.report(0, epoch, 0.5);
    records = sweep.records;  // killed, without a checkpoint
  }
}

TEST(SweepProgress, grows_by_what_cannot_happen_for_ever) {
  std::vector<Record> records;
  int64_t progress = 0;
  auto grows_by = [&](decltype(Record::what) what) {
    records.push_back({.number = static_cast<int64_t>(records.size()), .time = 0, .what = std::move(what)});
    return progress_of(records) - std::exchange(progress, progress_of(records));
  };
  auto report = [](int64_t epoch) {
    ReportRecord record;
    record.epoch = epoch;
    return record;
  };
  auto ended = [](const std::string& state, int64_t steps) {
    return EndRecord{.trial = 0, .state = state, .reason = "", .seconds = 1, .steps = steps};
  };
  EXPECT_EQ(grows_by(StartRecord{}), 0);
  EXPECT_EQ(grows_by(SuggestRecord{}), 0);
  // A trial that is under way counts as crashed, until it is known to have ended otherwise.
  EXPECT_EQ(grows_by(BeginRecord{}), 1);
  EXPECT_EQ(grows_by(ended("interrupted", 0)), -1);
  EXPECT_EQ(grows_by(CloseRecord{"stopped", ""}), 0);
  EXPECT_EQ(grows_by(StartRecord{}), 0);
  grows_by(BeginRecord{});
  EXPECT_EQ(grows_by(ended("interrupted", 10)), 0);  // and before the beginning: one more
  grows_by(BeginRecord{});
  EXPECT_EQ(grows_by(ended("interrupted", 10)), -1);
  grows_by(BeginRecord{});
  EXPECT_EQ(grows_by(report(1)), 1);
  EXPECT_EQ(grows_by(report(1)), 0);
  EXPECT_EQ(grows_by(report(2)), 1);
  EXPECT_EQ(grows_by(StartRecord{}), 0);  // it has crashed
  grows_by(BeginRecord{});
  EXPECT_EQ(grows_by(ended("finished", 20)), 0);
  EXPECT_EQ(progress, 5);  // 10 steps, two reports, a crash, an end
}

}  // namespace
}  // namespace trireme
