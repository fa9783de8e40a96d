// What a sweep does next, driven by hand: no thread, no clock, no message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sweep/logic_fixture.h"

namespace trireme {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using State = TrialEnd::State;

TEST(SweepLogic, a_rank_that_is_free_gets_the_next_trial_at_once) {
  LogicByHand sweep(2);
  sweep.start();
  EXPECT_FALSE(sweep.wanted);  // nobody is ready
  sweep.ready(1);
  EXPECT_EQ(sweep.suggest(), 0);
  EXPECT_THAT(sweep.orders.at(0).ranks, ElementsAre(1));
  EXPECT_EQ(sweep.orders.at(0).order.run_directory, "sweep/trials/0000");
  EXPECT_FALSE(sweep.wanted);
  sweep.ready(0);
  EXPECT_EQ(sweep.suggest(), 1);
  EXPECT_EQ(sweep.suggest(), -1);
  sweep.finish(0, 0.5);
  EXPECT_EQ(sweep.suggest(), 2);
  EXPECT_THAT(sweep.orders.at(2).ranks, ElementsAre(1));
  EXPECT_EQ(sweep.trial(0).state, TrialState::finished);
}

TEST(SweepLogic, the_budget_of_trials_ends_the_sweep_when_the_last_has_ended) {
  LogicByHand sweep(2);
  sweep.config.budget.trials = 3;
  sweep.start();
  sweep.all_ready();
  sweep.suggest();
  sweep.suggest();
  sweep.finish(1, 0.5);
  EXPECT_EQ(sweep.suggest(), 2);
  sweep.finish(0, 0.25);
  EXPECT_FALSE(sweep.wanted);
  EXPECT_FALSE(sweep.logic->over());
  sweep.finish(2, 0.75);
  EXPECT_TRUE(sweep.logic->over());
  EXPECT_FALSE(sweep.logic->stopped());
  EXPECT_EQ(sweep.written<CloseRecord>().at(0).state, "finished");
  EXPECT_THAT(sweep.written<CloseRecord>().at(0).reason, HasSubstr("budget.trials = 3"));
  EXPECT_EQ(letters_of<LeaveLetter>(sweep).size(), 2u);
}

TEST(SweepLogic, a_budget_of_epochs_ends_it_too) {
  LogicByHand sweep(1);
  sweep.config.budget.trials = 0;
  sweep.config.budget.epochs = 3;
  sweep.start();
  sweep.all_ready();
  sweep.suggest();
  sweep.report(0, 1, 0.5);
  sweep.report(0, 2, 0.4);
  sweep.end(0);
  sweep.suggest();
  sweep.report(1, 1, 0.5);
  sweep.report(1, 2, 0.4);  // what runs is trained to its end
  EXPECT_FALSE(sweep.logic->over());
  sweep.end(1);
  EXPECT_TRUE(sweep.logic->over());
  EXPECT_THAT(sweep.logic->over_reason(), HasSubstr("budget.epochs"));
}

TEST(SweepLogic, a_budget_of_seconds_counts_all_starts_and_stops_what_runs) {
  LogicByHand first(1);
  first.config.budget.seconds = 100;
  first.start();
  first.all_ready();
  first.suggest();
  first.now += 70;
  first.logic->stop("a test", first.now);
  first.end(0, State::interrupted);
  EXPECT_TRUE(first.logic->stopped());

  LogicByHand second(1, first.records);
  second.config.budget.seconds = 100;
  second.now = 5000;
  second.start();
  second.all_ready();
  EXPECT_EQ(second.trial(0).state, TrialState::running);
  second.report(0, 1, 0.5);
  second.now += 29;
  second.logic->tick(second.now);
  EXPECT_THAT(letters_of<StopLetter>(second), IsEmpty());
  second.now += 2;
  second.logic->tick(second.now);
  second.logic->tick(second.now);
  EXPECT_TRUE(std::holds_alternative<StopLetter>(second.logic->take_letters().at(0).second));
  second.end(0, State::interrupted);
  EXPECT_EQ(second.trial(0).state, TrialState::stopped);
  EXPECT_TRUE(second.logic->over());
  EXPECT_FALSE(second.logic->stopped());
}

TEST(SweepLogic, a_stop_is_not_the_end) {
  LogicByHand sweep(2);
  sweep.start();
  sweep.all_ready();
  sweep.suggest();
  sweep.suggest();
  sweep.receive(1, AskedToStopLetter{});
  EXPECT_EQ(letters_of<StopLetter>(sweep).size(), 2u);
  sweep.finish(0, 0.5);
  EXPECT_FALSE(sweep.wanted);
  EXPECT_FALSE(sweep.logic->over());
  sweep.end(1, State::interrupted);
  EXPECT_TRUE(sweep.logic->over());
  EXPECT_TRUE(sweep.logic->stopped());
  EXPECT_EQ(sweep.trial(1).state, TrialState::waiting);

  LogicByHand next(2, sweep.records);
  next.start();
  next.ready(0);
  EXPECT_EQ(next.orders.at(1).order.attempt, 1);  // being interrupted is no crash
  EXPECT_FALSE(next.orders.count(0));
}

TEST(SweepLogic, verdicts_are_written_down_before_they_are_told) {
  LogicByHand sweep(1);
  sweep.scheduler.verdicts[{0, 2}] = {Verdict::Kind::stop, "too bad"};
  sweep.start();
  sweep.all_ready();
  sweep.suggest();
  EXPECT_EQ(sweep.report(0, 1, 0.5).kind, Verdict::Kind::go_on);
  EXPECT_THAT(sweep.written<DecisionRecord>(), IsEmpty());
  EXPECT_EQ(sweep.report(0, 2, 0.5).kind, Verdict::Kind::stop);
  EXPECT_EQ(sweep.written<DecisionRecord>().at(0).reason, "too bad");
  sweep.end(0, State::stopped);
  EXPECT_EQ(sweep.trial(0).state, TrialState::stopped);
  EXPECT_EQ(sweep.suggest(), 1);
}

TEST(SweepLogic, failures_are_written_down_and_the_sweep_goes_on) {
  LogicByHand sweep(1);
  sweep.start();
  sweep.all_ready();
  sweep.suggest();
  EXPECT_EQ(sweep.report(0, 1, std::nan("")).kind, Verdict::Kind::stop);
  sweep.end(0, State::stopped);
  EXPECT_EQ(sweep.trial(0).state, TrialState::failed);
  EXPECT_EQ(sweep.trial(0).reason, "validation.loss is nan");

  sweep.suggest();
  sweep.report(1, 1, 0.5);
  sweep.report(1, 2, HUGE_VAL);
  sweep.end(1, State::stopped);
  EXPECT_EQ(sweep.trial(1).reason, "validation.loss is inf");
  EXPECT_EQ(sweep.trial(1).scores, std::vector<double>{0.5});

  sweep.suggest();
  sweep.end(2, State::failed, "the batch is larger than the data set", true);
  EXPECT_EQ(sweep.trial(2).reason, "the batch is larger than the data set");

  sweep.suggest();
  sweep.end(3, State::finished);
  EXPECT_EQ(sweep.trial(3).state, TrialState::failed);
  EXPECT_THAT(sweep.trial(3).reason, HasSubstr("without a validation"));

  sweep.suggest();
  TrialMeasure other{.epoch = 1, .step = 1, .seconds = 1, .figures = {{"validation.accuracy", 1}}};
  sweep.receive(0, ReportLetter{4, other});
  sweep.end(4, State::stopped);
  EXPECT_EQ(sweep.trial(4).reason, "the run measures no validation.loss (but validation.accuracy)");
  EXPECT_EQ(sweep.suggest(), 5);
}

TEST(SweepLogic, a_group_in_which_somebody_threw_is_made_anew) {
  LogicByHand sweep(2);
  sweep.start();
  sweep.all_ready();
  sweep.suggest(2);
  EXPECT_TRUE(sweep.orders.at(0).make_group);
  sweep.finish(0, 0.5);
  sweep.suggest(2);
  EXPECT_FALSE(sweep.orders.at(1).make_group);
  EXPECT_EQ(sweep.orders.at(1).group, sweep.orders.at(0).group);
  sweep.end(1, State::failed, "a bad one", true);
  sweep.suggest(2);
  EXPECT_TRUE(sweep.orders.at(2).make_group);
  EXPECT_EQ(sweep.orders.at(2).group, sweep.orders.at(0).group);
}

TEST(SweepLogic, a_rank_that_fails_alone_leaves_the_others_waiting_and_ends_the_sweep) {
  LogicByHand sweep(2);
  sweep.start();
  sweep.all_ready();
  sweep.suggest(2);
  sweep.receive(1, EndLetter{0, {State::failed, "out of memory", 0}, true, 1, 0});
  sweep.logic->tick(sweep.now + 10);
  EXPECT_THROW(sweep.logic->tick(sweep.now + 40), CommError);
}

TEST(SweepLogic, values_that_do_not_go_together_are_a_failed_trial) {
  LogicByHand sweep(1);
  sweep.start();
  sweep.all_ready();
  Proposal proposal;
  proposal.record = {.trial = 0, .values = {}, .point = {0.5}, .width = 1, .based_on = 1, .parent = -1};
  proposal.error = "x.toml:3: two keys do not go together";
  sweep.logic->suggested(proposal, sweep.now);
  EXPECT_EQ(sweep.trial(0).state, TrialState::failed);
  EXPECT_EQ(sweep.trial(0).attempts, 0);
  EXPECT_EQ(sweep.logic->take_wanted(), 1);
}

TEST(SweepLogic, suggestions_that_do_not_fit_wait_and_others_are_drawn) {
  LogicByHand sweep(4);
  sweep.start();
  sweep.all_ready();
  EXPECT_EQ(sweep.suggest(2), 0);
  EXPECT_EQ(sweep.suggest(4), 1);  // waits
  EXPECT_EQ(sweep.suggest(1), 2);
  EXPECT_EQ(sweep.suggest(1), 3);
  EXPECT_FALSE(sweep.wanted);
  EXPECT_EQ(sweep.running(), 3);
  EXPECT_EQ(sweep.trial(1).state, TrialState::waiting);
  // As soon as it fits it comes before anything new.
  sweep.finish(2, 0.5);
  sweep.wanted.reset();  // the sampler thinks meanwhile
  sweep.finish(3, 0.5);
  sweep.finish(0, 0.5);
  EXPECT_EQ(sweep.trial(1).state, TrialState::running);
  EXPECT_THAT(sweep.orders.at(1).ranks, ElementsAre(0, 1, 2, 3));
}

TEST(SweepLogic, nothing_is_drawn_where_no_trial_can_fit) {
  LogicByHand sweep(3);
  sweep.least_width = 2;
  sweep.start();
  sweep.ready(0);
  EXPECT_FALSE(sweep.wanted);
  sweep.ready(1);
  EXPECT_EQ(sweep.suggest(2), 0);
  EXPECT_EQ(sweep.running(), 1);
  sweep.ready(2);
  EXPECT_FALSE(sweep.wanted);  // its point would not have learned from trial 0
  sweep.finish(0, 0.5);
  EXPECT_EQ(sweep.suggest(2), 1);
}

// With a stream of narrow trials a wide one would wait for ever.
TEST(SweepLogic, a_wide_trial_does_not_starve) {
  LogicByHand sweep(4);
  sweep.start();
  sweep.all_ready();
  sweep.suggest(1);
  sweep.suggest(4);  // trial 1
  int64_t newest = 1;
  std::deque<int64_t> narrow = {0};
  int overtaken = 0;
  while (sweep.trial(1).state == TrialState::waiting) {
    while (sweep.wanted) {
      newest = sweep.suggest(1);
      narrow.push_back(newest);
      ++overtaken;
    }
    ASSERT_FALSE(narrow.empty());
    sweep.finish(narrow.front(), 0.5);
    narrow.pop_front();
    ASSERT_LT(overtaken, 50);
  }
  EXPECT_GE(overtaken, 4);
  EXPECT_LE(overtaken, 12);
}

TEST(SweepLogic, no_rank_is_idle_while_a_trial_that_fits_waits) {
  LogicByHand sweep(8);
  sweep.config.budget.trials = 2000;
  sweep.start();
  sweep.all_ready();
  RandomStream random(3, Purpose::test);
  std::vector<int64_t> running;
  while (!sweep.logic->over()) {
    while (sweep.wanted) sweep.suggest(1 << random.below(4));
    int busy = 0;
    running.clear();
    int narrowest = 99;
    for (const Trial& trial : sweep.history.trials()) {
      if (trial.state == TrialState::waiting) narrowest = std::min(narrowest, trial.width);
      if (trial.state != TrialState::running) continue;
      busy += trial.width;
      running.push_back(trial.number);
    }
    ASSERT_GT(narrowest, 8 - busy);
    ASSERT_FALSE(running.empty());
    sweep.finish(running[random.below(static_cast<uint32_t>(running.size()))], 0.5);
  }
  EXPECT_EQ(sweep.history.trials().size(), 2000u);
  for (const Trial& trial : sweep.history.trials()) EXPECT_EQ(trial.state, TrialState::finished);
}

TEST(SweepLogic, one_suggestion_is_made_ahead_when_asked_for) {
  LogicByHand sweep(1);
  sweep.config.sweep.suggest_ahead = true;
  sweep.start();
  EXPECT_EQ(sweep.suggest(), 0);
  EXPECT_FALSE(sweep.wanted);
  sweep.ready(0);
  EXPECT_EQ(sweep.trial(0).state, TrialState::running);
  EXPECT_EQ(sweep.suggest(), 1);
  EXPECT_FALSE(sweep.wanted);
  sweep.finish(0, 0.5);
  EXPECT_EQ(sweep.trial(1).state, TrialState::running);  // without asking
}

TEST(SweepLogic, a_grid_that_is_done_ends_the_sweep) {
  LogicByHand sweep(2);
  sweep.start();
  sweep.all_ready();
  sweep.suggest();
  sweep.no_more();
  EXPECT_FALSE(sweep.wanted);
  sweep.finish(0, 0.5);
  EXPECT_TRUE(sweep.logic->over());
  EXPECT_THAT(sweep.logic->over_reason(), HasSubstr("no further point"));
}

TEST(SweepLogic, paused_trials_are_taken_up_before_new_ones_and_closed_at_the_end) {
  LogicByHand sweep(1);
  sweep.config.budget.trials = 3;
  for (int64_t trial : {0, 1, 2}) sweep.scheduler.verdicts[{trial, 1}] = {Verdict::Kind::pause, "rung 0"};
  sweep.start();
  sweep.all_ready();
  for (int64_t trial : {0, 1}) {
    sweep.suggest();
    EXPECT_EQ(sweep.report(trial, 1, 0.5).kind, Verdict::Kind::pause);
    sweep.end(trial, State::paused);
  }
  EXPECT_EQ(sweep.trial(0).state, TrialState::paused);
  sweep.suggest();
  sweep.report(2, 1, 0.1);
  sweep.scheduler.take_ups = {{.trial = 1}};
  sweep.end(2, State::paused);
  EXPECT_EQ(sweep.trial(1).state, TrialState::running);
  EXPECT_TRUE(sweep.written<BeginRecord>().back().resumed);
  EXPECT_EQ(sweep.orders.at(1).order.attempt, 1);
  sweep.report(1, 2, 0.3);
  sweep.end(1);
  EXPECT_TRUE(sweep.logic->over());
  EXPECT_EQ(sweep.trial(0).state, TrialState::stopped);
  EXPECT_EQ(sweep.trial(1).state, TrialState::finished);
  EXPECT_EQ(sweep.trial(2).state, TrialState::stopped);
  EXPECT_THAT(sweep.trial(2).reason, HasSubstr("not taken up"));
}

// Population-based training: states go from rank to rank.
TEST(SweepLogic, a_trial_that_takes_over_a_state_is_told_where_it_is) {
  LogicByHand sweep(3);
  sweep.scheduler.copies = true;
  sweep.scheduler.new_ones = true;
  for (int64_t trial : {0, 1}) sweep.scheduler.verdicts[{trial, 1}] = {Verdict::Kind::pause, ""};
  sweep.start();
  sweep.all_ready();
  for (int i = 0; i < 3; ++i) sweep.suggest();
  int at0 = sweep.orders.at(0).ranks.front();
  int at1 = sweep.orders.at(1).ranks.front();
  EXPECT_TRUE(sweep.orders.at(0).order.keeps_state);
  EXPECT_EQ(sweep.orders.at(0).own_at, -1);
  sweep.scheduler.new_ones = false;
  sweep.report(0, 1, 0.5);
  sweep.end(0, State::paused);
  sweep.report(1, 1, 0.9);
  sweep.scheduler.take_ups = {{.trial = 1, .source = 0, .point = {0.75}}};
  sweep.end(1, State::paused);
  // On the rank where its own state is, which needs no letter.
  const OrderLetter& order = sweep.orders.at(1);
  EXPECT_EQ(order.ranks.front(), at1);
  EXPECT_EQ(order.own_at, at1);
  EXPECT_EQ(order.source_at, at0);
  EXPECT_EQ(order.order.config, "x = 0.750000");
  EXPECT_EQ(sweep.trial(1).point, Point{0.75});
  auto gives = letters_of<GiveLetter>(sweep);
  ASSERT_EQ(gives.size(), 1u);
  EXPECT_EQ(gives[0].first, at0);
  EXPECT_EQ(gives[0].second.trial, 0);
  EXPECT_EQ(gives[0].second.to, at1);
  EXPECT_EQ(gives[0].second.ticket, order.source_ticket);
  EXPECT_FALSE(gives[0].second.moves);
  EXPECT_EQ(sweep.written<BeginRecord>().back().source, 0);
  // Another trial's failure is forgotten.
  sweep.end(2, State::failed, "bad");
  EXPECT_THAT(letters_of<ForgetLetter>(sweep), IsEmpty());
  sweep.end(1, State::failed, "bad");
  ASSERT_EQ(letters_of<ForgetLetter>(sweep).size(), 1u);
  EXPECT_EQ(letters_of<ForgetLetter>(sweep)[0].second.trial, 1);
}

TEST(SweepLogic, what_ranks_send_that_does_not_fit_is_an_error) {
  LogicByHand sweep(2);
  sweep.start();
  sweep.all_ready();
  sweep.suggest();
  EXPECT_THROW(sweep.receive(1, ReportLetter{0, {}}), CommError);
  EXPECT_THROW(sweep.receive(1, EndLetter{}), CommError);
  EXPECT_THROW(sweep.receive(1, StopLetter{}), CommError);
}

}  // namespace
}  // namespace trireme
