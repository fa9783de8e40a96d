// What becomes of trials by their records, and every record that does not follow from those before.
#include "sweep/history.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "support/expect_error.h"

namespace trireme {
namespace {

using Scores = std::vector<double>;

// A history told in short words; all times are whole seconds from 0.
struct Teller {
  explicit Teller(bool at_best = false, bool shared = false) : history(at_best, shared) {}
  template <class What>
  void tell(What what, int64_t worker = 0) {
    history.apply({.number = history.records(), .time = time++, .what = std::move(what)}, worker);
  }
  void start(int64_t worker = 0) { tell(StartRecord{"s", 1, "v"}, worker); }
  void suggest(int64_t trial, int width = 1, int64_t worker = 0) {
    tell(
        SuggestRecord{
            .trial = trial, .values = {}, .point = {0.5, 1}, .width = width, .based_on = 0, .parent = -1},
        worker);
  }
  void begin(int64_t trial, int attempt, bool resumed = false, int64_t worker = 0) {
    BeginRecord record;
    record.trial = trial;
    record.attempt = attempt;
    record.resumed = resumed;
    tell(record, worker);
  }
  void report(int64_t trial, int64_t epoch, Scores scores) {
    ReportRecord record;
    record.trial = trial;
    record.epoch = epoch;
    record.step = epoch * 10;
    record.scores = std::move(scores);
    tell(record);
  }
  void decide(int64_t trial, int64_t epoch, const std::string& verdict) {
    tell(DecisionRecord{trial, epoch, verdict, "why " + verdict});
  }
  void end(int64_t trial, const std::string& state, double seconds = 1) {
    tell(EndRecord{.trial = trial, .state = state, .reason = "as " + state, .seconds = seconds, .steps = 1});
  }
  void end_without_reason(int64_t trial, const std::string& state) {
    tell(EndRecord{.trial = trial, .state = state, .reason = "", .seconds = 1, .steps = 1});
  }
  const Trial& operator[](int64_t number) const { return history.trial(number); }

  History history;
  double time = 0;
};

// Refused, and nothing has changed: the same record count, and the next one that is right is taken.
template <class Action>
void expect_refusal(Teller& story, std::initializer_list<std::string> parts, const Action& action) {
  int64_t records = story.history.records();
  int64_t epochs = story.history.epochs();
  size_t trials = story.history.trials().size();
  test::expect_error(ExitCode::bad_data, parts, action);
  EXPECT_EQ(story.history.records(), records);
  EXPECT_EQ(story.history.epochs(), epochs);
  EXPECT_EQ(story.history.trials().size(), trials);
}

TEST(History, ATrialFromSuggestionToEnd) {
  Teller story;
  story.start();
  story.suggest(0, 2);
  EXPECT_EQ(story[0].state, TrialState::waiting);
  EXPECT_EQ(story[0].attempts, 0);
  EXPECT_EQ(story.history.worker_of(0), 0);
  story.begin(0, 1);
  EXPECT_EQ(story[0].state, TrialState::running);
  EXPECT_EQ(story[0].attempts, 1);
  story.report(0, 2, {0.5});
  story.report(0, 4, {0.7});
  EXPECT_EQ(story[0].scores, Scores{0.7}) << "the last one counts";
  EXPECT_EQ(story[0].epochs(), 4);
  EXPECT_EQ(story[0].reports[0].step, 20);
  story.end(0, "finished", 3);
  EXPECT_EQ(story[0].state, TrialState::finished);
  EXPECT_EQ(story[0].reason, "");
  EXPECT_DOUBLE_EQ(story[0].busy_seconds, 6);
  EXPECT_EQ(story.history.epochs(), 4);
  EXPECT_EQ(story.history.records(), 6);
}

TEST(History, TheBestReportMayCount) {
  Teller story(true);
  story.start();
  story.suggest(0);
  story.begin(0, 1);
  for (int epoch = 1; epoch <= 5; ++epoch)
    story.report(0, epoch, {Scores{0.5, 0.2, 0.4, 0.2, 0.9}[size_t(epoch - 1)]});
  EXPECT_EQ(story[0].scores, Scores{0.2});
  story.start();  // a crash: from epoch 2 on it reports again, worse
  story.begin(0, 2);
  story.report(0, 2, {0.45});
  EXPECT_EQ(story[0].scores, Scores{0.45}) << "what was dropped counts no more";
  story.report(0, 3, {0.6});
  EXPECT_EQ(story[0].scores, Scores{0.45});
  EXPECT_EQ(story[0].reports.size(), 3u);
  EXPECT_EQ(story.history.epochs(), 5 + 2) << "lost ones count";
}

TEST(History, TheBestOfSeveralObjectivesIsOneThatIsNotDominated) {
  Teller story(true);
  story.start();
  story.suggest(0);
  story.begin(0, 1);
  story.report(0, 1, {0.3, 9});
  story.report(0, 2, {0.3, 5});
  story.report(0, 3, {0.4, 1});
  EXPECT_EQ(story[0].scores, (Scores{0.3, 5}));
}

TEST(History, APausedTrialKeepsItsAttempt) {
  Teller story;
  story.start();
  story.suggest(0);
  story.suggest(1);
  story.begin(0, 1);
  story.begin(1, 1);
  story.report(0, 1, {0.5});
  story.report(1, 1, {0.6});
  for (int64_t trial : {0, 1}) {
    story.decide(trial, 1, "pause");
    EXPECT_EQ(story[trial].state, TrialState::running) << "until its ranks are free";
    story.end(trial, "paused");
    EXPECT_EQ(story[trial].state, TrialState::paused);
  }
  story.begin(0, 1, true);
  EXPECT_EQ(story[0].attempts, 1);
  EXPECT_EQ(story[0].reason, "");
  story.tell(BeginRecord{
      .trial = 1, .attempt = 1, .resumed = true, .ranks = {}, .source = 0, .values = {}, .point = {7, 8}});
  EXPECT_EQ(story[1].point, (Point{7, 8}));
  story.report(1, 2, {0.4});
  story.start();
  EXPECT_EQ(story[1].state, TrialState::waiting);
  EXPECT_EQ(story[1].point, (Point{7, 8}));
  story.begin(1, 2);
}

TEST(History, WhatRanWaitsAgainAfterACrashAndAnInterruptionDoesNotCount) {
  Teller story;
  story.start();
  for (int64_t trial : {0, 1, 2, 3}) {
    story.suggest(trial);
    story.begin(trial, 1);
    story.report(trial, 1, {0.5});
  }
  story.decide(1, 1, "stop");
  story.decide(2, 1, "pause");
  story.end(3, "interrupted");
  EXPECT_EQ(story[3].state, TrialState::waiting);
  EXPECT_EQ(story[3].attempts, 0);
  story.start();
  EXPECT_EQ(story[0].state, TrialState::waiting);
  EXPECT_EQ(story[0].attempts, 1);
  EXPECT_GT(story[0].busy_seconds, 0) << "it held its ranks until the crash";
  EXPECT_EQ(story[1].state, TrialState::stopped) << "what was decided holds";
  EXPECT_EQ(story[1].reason, "why stop");
  EXPECT_EQ(story[2].state, TrialState::paused);
  story.begin(0, 2);
  story.begin(2, 1, true);
  story.begin(3, 1);
  story.end(0, "crashed");
  EXPECT_EQ(story[0].state, TrialState::waiting);
  EXPECT_EQ(story[0].attempts, 2);
  story.end(0, "failed");
  EXPECT_EQ(story[0].state, TrialState::failed);
  EXPECT_EQ(story[0].reason, "as failed");
  story.report(2, 2, {0.5});
  story.decide(2, 2, "stop");
  story.end(2, "interrupted");
  EXPECT_EQ(story[2].state, TrialState::stopped);
}

TEST(History, AnEndWithoutAReasonHasTheDecisions) {
  Teller story;
  story.start();
  for (int64_t trial : {0, 1, 2}) {
    story.suggest(trial);
    story.begin(trial, 1);
    story.report(trial, 1, {0.5});
  }
  story.decide(0, 1, "stop");
  story.decide(1, 1, "pause");
  story.decide(2, 1, "stop");
  story.end_without_reason(0, "stopped");
  story.end_without_reason(1, "paused");
  story.end_without_reason(2, "failed");
  EXPECT_EQ(story[0].reason, "why stop");
  EXPECT_EQ(story[1].reason, "why pause");
  EXPECT_EQ(story[2].reason, "") << "a failure is not what was decided";
  story.begin(1, 1, true);
  EXPECT_EQ(story[1].reason, "");
  story.report(1, 2, {0.5});
  story.end_without_reason(1, "stopped");
  EXPECT_EQ(story[1].reason, "") << "an older decision is no reason";
}

TEST(History, EveryRecordThatDoesNotFollowIsRefused) {
  Teller story;
  story.start();
  expect_refusal(story, {"record 1 ('begin')", "no trial 0"}, [&] { story.begin(0, 1); });
  expect_refusal(story, {"suggests trial 1", "next is 0"}, [&] { story.suggest(1); });
  expect_refusal(story, {"suggests trial -1"}, [&] { story.suggest(-1); });
  expect_refusal(story, {"width of 0"}, [&] { story.suggest(0, 0); });
  expect_refusal(story, {"0 values"}, [&] { story.tell(SuggestRecord{}); });
  story.suggest(0);
  expect_refusal(story, {"trial 0 has been suggested before"}, [&] { story.suggest(0); });
  SuggestRecord other{.trial = 1, .values = {}, .point = {1}, .width = 1, .based_on = 0, .parent = -1};
  expect_refusal(story, {"1 values, not 2"}, [&] { story.tell(other); });
  other.point = {1, 2};
  other.parent = 1;
  expect_refusal(story, {"trial 1 for a parent"}, [&] { story.tell(other); });
  expect_refusal(story, {"trial 0 cannot report", "waiting"}, [&] { story.report(0, 1, {1}); });
  expect_refusal(story, {"trial 0 cannot end as finished"}, [&] { story.end(0, "finished"); });
  expect_refusal(story, {"trial 0 cannot be told to end"}, [&] { story.decide(0, 1, "stop"); });
  expect_refusal(story, {"cannot be taken up", "not paused"}, [&] { story.begin(0, 0, true); });
  expect_refusal(story, {"begun for the 2. time", "the 1."}, [&] { story.begin(0, 2); });
  story.begin(0, 1);
  expect_refusal(story, {"cannot be taken up", "running"}, [&] { story.begin(0, 2); });
  expect_refusal(story, {"no trial 5"}, [&] { story.report(5, 1, {1}); });
  expect_refusal(story, {"epoch 0"}, [&] { story.report(0, 0, {1}); });
  expect_refusal(story, {"0 scores"}, [&] { story.report(0, 1, {}); });
  expect_refusal(story, {"no number"},
                 [&] { story.report(0, 1, {std::numeric_limits<double>::quiet_NaN()}); });
  expect_refusal(story, {"epoch 1 of trial 0"}, [&] { story.decide(0, 1, "stop"); });
  story.report(0, 1, {1});
  expect_refusal(story, {"2 scores, not 1"}, [&] { story.report(0, 2, {1, 2}); });
  expect_refusal(story, {"'maybe' is no verdict"}, [&] { story.decide(0, 1, "maybe"); });
  expect_refusal(story, {"epoch 2 of trial 0", "epoch 1"}, [&] { story.decide(0, 2, "stop"); });
  expect_refusal(story, {"'gone' is no end"}, [&] { story.end(0, "gone"); });
  story.decide(0, 1, "pause");
  expect_refusal(story, {"told to end"}, [&] { story.report(0, 2, {1}); });
  story.end(0, "paused");
  expect_refusal(story, {"cannot end as finished"}, [&] { story.end(0, "finished"); });
  BeginRecord begin{
      .trial = 0, .attempt = 1, .resumed = true, .ranks = {}, .source = 0, .values = {}, .point = {1, 2}};
  expect_refusal(story, {"its own source"}, [&] { story.tell(begin); });
  begin.source = 9;
  expect_refusal(story, {"no trial 9"}, [&] { story.tell(begin); });
  story.end(0, "stopped");
  for (const char* state : {"stopped", "failed", "finished", "paused", "interrupted"}) {
    expect_refusal(story, {"trial 0 cannot end", "it is stopped"}, [&] { story.end(0, state); });
  }
  expect_refusal(story, {"cannot be taken up"}, [&] { story.begin(0, 2); });
  expect_refusal(story, {"another sweep", "(t, not s)"}, [&] { story.tell(StartRecord{"t", 1, "v"}); });
  expect_refusal(story, {"'won' is no end of a sweep"}, [&] { story.tell(CloseRecord{"won", ""}); });
  story.tell(CloseRecord{"stopped", ""});
  expect_refusal(story, {"has been closed"}, [&] { story.suggest(1); });
  expect_refusal(story, {"has been closed"}, [&] { story.tell(CloseRecord{"stopped", ""}); });
  story.start();
  story.suggest(1);
}

TEST(History, SeveralWorkersNumbersMayBeMissingForAWhile) {
  Teller story(false, true);
  story.start(1);
  story.suggest(2, 1, 1);
  ASSERT_EQ(story.history.trials().size(), 3u);
  EXPECT_TRUE(story[0].point.empty());
  EXPECT_EQ(story[1].number, 1);
  EXPECT_EQ(story.history.worker_of(1), -1);
  story.begin(2, 1, false, 1);
  expect_refusal(story, {"no trial 1"}, [&] { story.begin(1, 1, false, 1); });
  story.start(7);
  EXPECT_EQ(story[2].state, TrialState::running) << "another worker's start";
  story.suggest(0, 1, 7);
  EXPECT_EQ(story.history.worker_of(0), 7);
  expect_refusal(story, {"worker 1's, not worker 7's"}, [&] { story.begin(2, 2, false, 7); });
  expect_refusal(story, {"suggested before"}, [&] { story.suggest(2, 1, 7); });
  story.tell(CloseRecord{"stopped", ""}, 7);
  story.start(1);
  EXPECT_EQ(story[2].state, TrialState::waiting);
  story.begin(2, 2, false, 1);
}

TEST(History, DominanceAndTheFront) {
  EXPECT_TRUE(dominates({1, 2}, {1, 3}));
  EXPECT_FALSE(dominates({1, 2}, {1, 2}));
  EXPECT_FALSE(dominates({1, 2}, {0, 3}));
  std::vector<Trial> trials;
  auto add = [&trials](TrialState state, Scores scores) {
    Trial& trial = trials.emplace_back();
    trial.number = static_cast<int64_t>(trials.size()) - 1;
    trial.state = state;
    trial.scores = std::move(scores);
  };
  EXPECT_TRUE(pareto_front(trials).empty());
  add(TrialState::finished, {3, 1});
  add(TrialState::finished, {1, 3});
  add(TrialState::stopped, {2, 2});
  add(TrialState::finished, {2, 2.5});
  add(TrialState::failed, {0, 0});
  add(TrialState::running, {0, 0});
  add(TrialState::finished, {});
  add(TrialState::finished, {1, 3});
  EXPECT_EQ(pareto_front(trials), (std::vector<int64_t>{1, 7, 2, 0}));
  for (Trial& trial : trials) {
    if (!trial.scores.empty()) trial.scores.pop_back();
  }
  EXPECT_EQ(pareto_front(trials), (std::vector<int64_t>{1}))
      << "of one objective the best alone, the first of those";
}

TEST(History, RemembersInWhichOrderTrialsFirstEnded) {
  Teller story;
  story.start();
  for (int64_t trial : {0, 1, 2}) story.suggest(trial);
  for (int64_t trial : {0, 1, 2}) story.begin(trial, 1);
  EXPECT_EQ(story[0].ended_at, -1);
  story.report(1, 1, {0.5});
  story.end(1, "paused");
  int64_t paused_at = story[1].ended_at;
  EXPECT_EQ(paused_at, story.history.records() - 1);
  story.end(0, "interrupted");
  EXPECT_EQ(story[0].ended_at, -1) << "it will go on";
  story.begin(1, 1, true);
  story.report(1, 2, {0.25});
  story.decide(1, 2, "stop");
  story.end(2, "failed");
  story.start();
  EXPECT_EQ(story[1].state, TrialState::stopped);
  EXPECT_EQ(story[1].ended_at, paused_at);
  EXPECT_GT(story[2].ended_at, paused_at);
}

}  // namespace
}  // namespace trireme
