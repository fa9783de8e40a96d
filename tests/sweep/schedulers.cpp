// What all schedulers have in common, and the median stopping rule.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sweep/simulation.h"

namespace trireme {
namespace {

using testing::HasSubstr;

const Openings anything{[](const Trial&) { return true; }, true};

std::string refusal(const SweepConfig& config, const Space& space) {
  try {
    make_scheduler(config, space, 9);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(Schedulers, SeveralObjectivesAreForNoneAlone) {
  Space space = rate_space();
  for (std::string_view name : scheduler_names()) {
    SweepConfig config = scheduled(std::string(name));
    config.objectives.resize(2);
    if (name == "none") {
      EXPECT_EQ(refusal(config, space), "");
    } else {
      EXPECT_THAT(refusal(config, space), HasSubstr("2 objectives")) << name;
    }
  }
}

TEST(Schedulers, AnUnknownNameIsRefused) {
  EXPECT_THAT(refusal(scheduled("ashes"), rate_space()), HasSubstr("\"ashes\""));
}

TEST(Schedulers, ThoseThatHandOutEpochsLetNobodySearchThem) {
  Space space = toy_space({integer_parameter("train.epochs", 1, 9)});
  for (std::string_view name : scheduler_names()) {
    std::string message = refusal(scheduled(std::string(name)), space);
    if (name == "none" || name == "median") {
      EXPECT_EQ(message, "") << name;
    } else {
      EXPECT_THAT(message, HasSubstr("train.epochs")) << name;
      EXPECT_THAT(message, HasSubstr("toy.toml:1:1")) << name;
    }
  }
}

// None judges at the end: the trial finishes by itself.
TEST(Schedulers, NobodyIsHeldUpAtTheLastEpoch) {
  Space space = rate_space();
  for (std::string_view name : scheduler_names()) {
    auto scheduler = make_scheduler(scheduled(std::string(name)), space, 9);
    SweepStory story(space);
    for (int i = 0; i < 6; ++i) story.finished({0.1}, {0.1});
    int64_t late = story.run({0.1});
    story.report(late, 8, {5.0});
    story.report(late, 9, {5.0});
    EXPECT_EQ(scheduler->judge(story.history(), late).kind, Verdict::Kind::go_on) << name;
  }
}

// A sweep that was begun with another scheduler may have paused trials.
TEST(Schedulers, NoneAndMedianLetPausedTrialsGoOn) {
  Space space = rate_space();
  for (const char* name : {"none", "median"}) {
    auto scheduler = make_scheduler(scheduled(name), space, 9);
    SweepStory story(space);
    for (int width : {2, 1}) {
      int64_t trial = story.suggest({0.1}, -1, width);
      story.begin(trial);
      story.report(trial, 1, {1.0});
      story.decide(trial, "pause");
      story.end(trial, "paused");
    }
    Openings narrow{[](const Trial& trial) { return trial.width == 1; }, true};
    EXPECT_EQ(scheduler->take_up(story.history(), narrow)->trial, 1) << name;
    EXPECT_EQ(scheduler->take_up(story.history(), anything)->trial, 0) << name;
    story.begin(0, true);
    story.begin(1, true);
    EXPECT_FALSE(scheduler->take_up(story.history(), anything)) << name;
  }
}

class MedianRule : public testing::Test {
 protected:
  MedianRule() { config_.median = {.startup_trials = 3, .warmup_epochs = 1}; }

  // A finished trial with these scores after 1, 2, ... epochs.
  void finished(const std::vector<double>& scores) {
    int64_t trial = begun(scores);
    story_.end(trial, "finished");
  }
  int64_t begun(const std::vector<double>& scores) {
    int64_t trial = story_.run({0.1});
    for (size_t i = 0; i < scores.size(); ++i) {
      story_.report(trial, static_cast<int64_t>(i) + 1, {scores[i]});
    }
    return trial;
  }
  bool stops(const std::vector<double>& scores) {
    auto scheduler = make_scheduler(config_, space_, 5);
    int64_t trial = begun(scores);
    Verdict verdict = scheduler->judge(story_.history(), trial);
    reason_ = verdict.reason;
    story_.end(trial, "failed", "out of the way");
    return verdict.kind == Verdict::Kind::stop;
  }

  SweepConfig config_ = scheduled("median");
  Space space_ = rate_space();
  SweepStory story_{space_};
  std::string reason_;
};

// Means up to epoch 2: 2, 3, 7; up to epoch 3: 2, 2.5, 6.
TEST_F(MedianRule, StopsWhatIsWorseAtItsBestThanTheMedianOfMeans) {
  finished({3, 1, 2, 1, 1});
  finished({4, 2, 1.5, 1, 1});
  finished({8, 6, 4, 4, 4});
  EXPECT_FALSE(stops({9, 3}));
  EXPECT_TRUE(stops({9, 3.01}));
  EXPECT_EQ(reason_, "epoch 2: the best score, 3.01, is worse than the median of 3 trials, 3");
  EXPECT_TRUE(stops({9, 9, 2.51}));
  EXPECT_FALSE(stops({9, 9, 2.5}));
  EXPECT_FALSE(stops({2.5, 9, 9}));  // its best, not its last
}

TEST_F(MedianRule, TellsWhatWasMeasuredOfAnObjectiveThatIsMaximized) {
  config_.objectives[0].maximized = true;  // scores are negated
  for (int i = 0; i < 3; ++i) finished({-0.75, -0.75});
  EXPECT_TRUE(stops({-0.25, -0.5}));
  EXPECT_EQ(reason_, "epoch 2: the best score, 0.5, is worse than the median of 3 trials, 0.75");
  EXPECT_TRUE(stops({0, 0}));
  EXPECT_EQ(reason_, "epoch 2: the best score, 0, is worse than the median of 3 trials, 0.75") << "not -0";
}

TEST_F(MedianRule, OfAnEvenNumberTheMiddleOfTheTwoInTheMiddle) {
  for (double score : {1, 2, 4, 8}) finished({score, score});
  EXPECT_TRUE(stops({9, 3.01}));
  EXPECT_FALSE(stops({9, 3}));
}

TEST_F(MedianRule, WaitsForStartupAndWarmUp) {
  finished({1, 1});
  finished({1, 1});
  EXPECT_FALSE(stops({9, 9}));
  finished({1, 1});
  EXPECT_FALSE(stops({9}));
  EXPECT_TRUE(stops({9, 9}));
  config_.median.warmup_epochs = 2;
  EXPECT_FALSE(stops({9, 9}));
}

TEST_F(MedianRule, ComparesWithThoseThatCameAsFar) {
  for (int i = 0; i < 3; ++i) finished({1, 1});
  EXPECT_TRUE(stops({9, 9}));
  EXPECT_FALSE(stops({9, 9, 9}));  // none of them has 3 epochs
  begun({1, 1, 1});                // still running
  EXPECT_FALSE(stops({9, 9, 9}));
}

TEST_F(MedianRule, FailedTrialsCountForNothingAndStoppedOnesCount) {
  for (int i = 0; i < 2; ++i) finished({1, 1});
  story_.end(begun({1, 1}), "failed", "nan");
  EXPECT_FALSE(stops({9, 9}));
  story_.end(begun({1, 1}), "stopped", "worse");
  EXPECT_TRUE(stops({9, 9}));
}

}  // namespace
}  // namespace trireme
