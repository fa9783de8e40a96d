// Successive halving against tables made by hand from the papers' text: who pauses, who is promoted, when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sweep/schedulers/halving.h"
#include "sweep/schedulers/hyperband.h"
#include "sweep/simulation.h"

namespace trireme {
namespace {

using testing::ElementsAre;

const Openings anything{[](const Trial&) { return true; }, true};

SweepConfig halving_config(const std::string& scheduler, int64_t min_epochs = 1, int64_t reduction = 3) {
  SweepConfig config = scheduled(scheduler);
  config.asha.min_epochs = config.hyperband.min_epochs = min_epochs;
  config.asha.reduction = config.hyperband.reduction = reduction;
  return config;
}

// A sweep by hand under one scheduler.
struct Table {
  explicit Table(SweepConfig config = halving_config("asha"), int64_t max_epochs = 9)
      : scheduler(make_scheduler(config, space, max_epochs)), story(space, config.at == "best") {}

  // A new trial reports this after so many epochs; true: it goes on.
  bool arrives(double score, int64_t epochs = 1) { return reports(story.run({0.1}), epochs, score); }
  // A running trial reports; it is paused where the scheduler says so.
  bool reports(int64_t trial, int64_t epochs, double score) {
    story.report(trial, epochs, {score});
    Verdict verdict = scheduler->judge(story.history(), trial);
    if (verdict.kind == Verdict::Kind::go_on) return true;
    EXPECT_EQ(verdict.kind, Verdict::Kind::pause);
    reason = verdict.reason;
    story.decide(trial, "pause", verdict.reason);
    story.end(trial, "paused");
    return false;
  }
  // The trial that goes on now, or -1; it runs then.
  int64_t taken_up(const Openings& openings = anything) {
    auto next = scheduler->take_up(story.history(), openings);
    if (!next) return -1;
    EXPECT_EQ(next->source, -1);
    story.begin(next->trial, true);
    return next->trial;
  }

  Space space = rate_space();
  std::unique_ptr<Scheduler> scheduler;
  SweepStory story;
  std::string reason;
};

// Algorithm 2 of Li et al. with eta = 3: of n that have reached a rung, the best floor(n / 3) may go on.
TEST(Asha, PromotesTheTopThirdOfThoseThatHaveReachedTheRung) {
  Table table;
  EXPECT_FALSE(table.arrives(0.50));  // 0: first of 1, none may go on
  EXPECT_FALSE(table.arrives(0.60));  // 1
  EXPECT_EQ(table.taken_up(), -1);
  EXPECT_TRUE(table.arrives(0.40));   // 2: first of 3, goes on at once
  EXPECT_FALSE(table.arrives(0.45));  // 3: second of 4
  EXPECT_EQ(table.reason, "rung 0 (1 epochs): place 2 of 4, 1 may go on");
  EXPECT_TRUE(table.arrives(0.30));   // 4: first of 5; 2 was promoted in error, as the paper expects
  EXPECT_FALSE(table.arrives(0.70));  // 5: two of 6 may: 4 and 2, which have
  EXPECT_EQ(table.taken_up(), -1);
  EXPECT_FALSE(table.arrives(0.80));  // 6
  EXPECT_FALSE(table.arrives(0.90));  // 7
  EXPECT_EQ(table.taken_up(), -1);
  EXPECT_FALSE(table.arrives(0.95));  // 8: three of 9 may, now 3 also
  EXPECT_EQ(table.taken_up(), 3);
  EXPECT_EQ(table.taken_up(), -1);
}

TEST(Asha, PromotesFromTheHighestRungDown) {
  Table table;
  for (double score : {0.9, 0.8, 0.7}) table.arrives(score);
  for (double score : {0.99, 0.98, 0.97, 0.96}) table.arrives(score);
  EXPECT_EQ(table.taken_up(), 1);                // 2 of 7 may
  for (int i = 0; i < 5; ++i) table.arrives(1);  // 4 of 12
  EXPECT_EQ(table.taken_up(), 0);
  // 2, 1, 0 come to the second rung, 3 epochs; the best of them came first and pauses all the same.
  EXPECT_FALSE(table.reports(2, 3, 0.1));
  EXPECT_FALSE(table.reports(1, 3, 0.2));
  EXPECT_FALSE(table.reports(0, 3, 0.3));
  EXPECT_EQ(table.taken_up(), 2);  // one of 3, before the fourth of the lower rung
  EXPECT_EQ(table.taken_up(), 6);
  // It trains to its end; nobody is asked there.
  for (int64_t epoch = 4; epoch <= 9; ++epoch) EXPECT_TRUE(table.reports(2, epoch, 0.05));
}

// Table 1 of Li et al.: 9 trials, 1 to 9 epochs, eta = 3: 9, 3 and 1 reach the rungs.
TEST(Asha, OfNineOneIsTrainedToItsEnd) {
  Table table;
  std::vector<int64_t> at_three;
  for (int i = 0; i < 9; ++i) {
    if (table.arrives(1 - 0.1 * i)) at_three.push_back(i);  // each better than those before
  }
  EXPECT_THAT(at_three, ElementsAre(2, 3, 4, 5, 6, 7, 8));
  Table falling;
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(falling.arrives(0.1 * i) && i > 2);
  EXPECT_EQ(falling.taken_up(), 0);
  EXPECT_EQ(falling.taken_up(), 1);
  EXPECT_EQ(falling.taken_up(), 2);
  EXPECT_EQ(falling.taken_up(), -1);
  EXPECT_FALSE(falling.reports(0, 3, 0.1));
  EXPECT_FALSE(falling.reports(1, 3, 0.2));
  EXPECT_EQ(falling.taken_up(), -1);
  EXPECT_FALSE(falling.reports(2, 3, 0.3));
  EXPECT_EQ(falling.taken_up(), 0);
  EXPECT_EQ(falling.taken_up(), -1);
}

TEST(Asha, OfEqualsTheFirstGoesOn) {
  Table table;
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(table.arrives(0.5));
  EXPECT_EQ(table.taken_up(), 0);
}

TEST(Asha, PassesFailedTrialsOver) {
  Table table;
  int64_t bad = table.story.run({0.1});
  table.story.report(bad, 1, {0.0});
  table.story.end(bad, "failed", "nan in epoch 2");
  EXPECT_FALSE(table.arrives(0.5));
  EXPECT_FALSE(table.arrives(0.6));  // it would be the third
  EXPECT_EQ(table.taken_up(), -1);
  EXPECT_FALSE(table.arrives(0.7));
  EXPECT_EQ(table.taken_up(), 1);
}

TEST(Asha, NamesOnlyWhatFits) {
  Table table;
  for (double score : {0.3, 0.1}) {
    int64_t wide = table.story.suggest({0.1}, -1, 2);
    table.story.begin(wide);
    table.reports(wide, 1, score);
  }
  for (double score : {0.2, 0.4, 0.5, 0.6, 0.7}) table.arrives(score);
  Openings narrow{[](const Trial& trial) { return trial.width == 1; }, true};
  EXPECT_EQ(table.taken_up(narrow), 2);  // the second of 7
  EXPECT_EQ(table.taken_up(narrow), -1);
  EXPECT_EQ(table.taken_up(), 1);
}

TEST(Asha, ARungIsReachedAtTheNextValidation) {
  Table table;  // rungs at 1, 3 and 9; validations at 2, 4, 6, 8
  EXPECT_FALSE(table.arrives(0.5, 2));
  EXPECT_FALSE(table.arrives(0.6, 2));
  EXPECT_TRUE(table.arrives(0.4, 2));
  EXPECT_FALSE(table.reports(2, 4, 0.4));
  for (double score : {0.7, 0.8, 0.9}) table.arrives(score, 2);
  EXPECT_EQ(table.taken_up(), 0);
  EXPECT_FALSE(table.reports(0, 4, 0.3));
  for (double score : {0.7, 0.8, 0.9}) table.arrives(score, 2);
  EXPECT_EQ(table.taken_up(), 1);
  EXPECT_FALSE(table.reports(1, 4, 0.5));
  EXPECT_EQ(table.taken_up(), 0);
  EXPECT_TRUE(table.reports(0, 6, 0.3));
  EXPECT_TRUE(table.reports(0, 8, 0.3));
}

TEST(Asha, JudgesByTheBestWhereTheObjectiveDoes) {
  for (bool best : {false, true}) {
    SweepConfig config = halving_config("asha", 2);
    config.at = best ? "best" : "last";
    Table table(config, 18);
    int64_t first = table.story.run({0.1});
    EXPECT_TRUE(table.reports(first, 1, 0.1));
    EXPECT_FALSE(table.reports(first, 2, 0.9));
    for (int64_t number : {1, 2}) {
      table.story.run({0.1});
      EXPECT_TRUE(table.reports(number, 1, 0.5));
      EXPECT_EQ(table.reports(number, 2, 0.5 + 0.1 * static_cast<double>(number)), false);
    }
    EXPECT_EQ(table.taken_up(), best ? 0 : 1);
  }
}

TEST(Asha, TrialsPausedUnderOtherSettingsGoOn) {
  Table table(halving_config("asha", 3), 27);
  int64_t early = table.story.run({0.1});
  table.story.report(early, 1, {0.5});
  table.story.decide(early, "pause");
  table.story.end(early, "paused");
  EXPECT_EQ(table.taken_up(), early);
  EXPECT_TRUE(table.reports(early, 2, 0.5));
  EXPECT_FALSE(table.reports(early, 3, 0.5));
}

TEST(Asha, AJudgementAfterACrashIsAboutTheRungAgain) {
  Table table;
  table.arrives(0.5);
  table.arrives(0.6);
  EXPECT_TRUE(table.arrives(0.4));
  table.story.report(2, 2, {0.4});
  table.story.restart();  // 2 has no checkpoint, and begins anew
  for (double score : {0.1, 0.2, 0.3}) table.arrives(score);
  table.story.begin(2);
  EXPECT_FALSE(table.reports(2, 1, 0.45));
}

TEST(Rungs, ArePowersOfTheReductionBelowTheEnd) {
  auto rungs = [](int64_t min_epochs, int64_t reduction, int64_t max_epochs) {
    SweepConfig config = halving_config("asha", min_epochs, reduction);
    return rungs_of(config, config.asha, "asha", max_epochs);
  };
  EXPECT_THAT(rungs(1, 3, 81), ElementsAre(1, 3, 9, 27, 81));
  EXPECT_THAT(rungs(2, 4, 128), ElementsAre(2, 8, 32, 128));
  EXPECT_THAT(rungs(1, 2, 8), ElementsAre(1, 2, 4, 8));
  EXPECT_THAT(rungs(1, 3, 8), ElementsAre(1, 3, 8));
  EXPECT_THAT(rungs(1, 3, 10), ElementsAre(1, 3, 10));  // not 9
  EXPECT_THAT(rungs(1, 3, 50), ElementsAre(1, 3, 9, 27, 50));
  EXPECT_THAT(rungs(1, 3, 2), ElementsAre(1, 2));
  EXPECT_EQ(rungs(1, 10, 1'000'000'000).size(), 10u);
  try {
    rungs(9, 3, 9);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("sweep.asha.min_epochs = 9"));
  }
}

// Table 1 of the Hyperband paper, R = 81, eta = 3: brackets of 81, 34, 15, 8 and 5 trials.
TEST(Hyperband, BracketsHaveThePapersShares) {
  std::vector<double> shares = bracket_shares(5, 5, 3);
  std::vector<double> trials;
  for (double share : shares) trials.push_back(std::round(143 * share));
  EXPECT_THAT(trials, ElementsAre(81, 34, 15, 8, 5));
  EXPECT_THAT(bracket_shares(5, 1, 3), ElementsAre(1));
}

// The epochs after which each trial pauses tell its bracket.
std::vector<int64_t> first_rungs(Table& table, int64_t trials, int64_t max_epochs) {
  std::vector<int64_t> rungs;
  for (int64_t i = 0; i < trials; ++i) {
    int64_t trial = table.story.run({0.1});
    int64_t epoch = 1;
    // Ever worse, so that none goes on at once.
    while (epoch < max_epochs && table.reports(trial, epoch, static_cast<double>(i))) ++epoch;
    if (epoch == max_epochs) {
      EXPECT_TRUE(table.reports(trial, epoch, static_cast<double>(i)));
      table.story.end(trial, "finished");
    }
    rungs.push_back(epoch);
  }
  return rungs;
}

TEST(Hyperband, HandsTrialsToBracketsInProportion) {
  Table table(halving_config("hyperband"), 81);
  std::vector<int64_t> rungs = first_rungs(table, 143, 81);
  std::map<int64_t, int64_t> counts;
  for (int64_t rung : rungs) ++counts[rung];
  EXPECT_NEAR(counts[1], 81, 2);
  EXPECT_NEAR(counts[3], 34, 2);
  EXPECT_NEAR(counts[9], 15, 2);
  EXPECT_NEAR(counts[27], 8, 2);
  EXPECT_NEAR(counts[81], 5, 2);
  // From the beginning on: the first 20 have four of the five brackets.
  EXPECT_GE(std::set<int64_t>(rungs.begin(), rungs.begin() + 20).size(), 4u);
}

TEST(Hyperband, PromotesWithinABracket) {
  SweepConfig config = halving_config("hyperband");
  config.hyperband.brackets = 2;
  Table table(config, 9);  // brackets from 1 and from 3 epochs, shares 9 to 5
  std::vector<int64_t> rungs = first_rungs(table, 14, 9);
  std::vector<int64_t> first, second;
  for (int64_t i = 0; i < 14; ++i) (rungs[static_cast<size_t>(i)] == 1 ? first : second).push_back(i);
  ASSERT_EQ(first.size() + second.size(), 14u);
  ASSERT_GE(first.size(), 6u);
  ASSERT_GE(second.size(), 3u);
  // The best of the second bracket waits at the higher rung: it goes first, then the first bracket's best.
  EXPECT_EQ(table.taken_up(), second[0]);
  EXPECT_EQ(table.taken_up(), first[0]);
  EXPECT_EQ(table.taken_up(), first[1]);
  // There it is alone in its bracket with the one before: their rung does not count the second bracket's.
  EXPECT_TRUE(table.reports(first[0], 2, -1));
  EXPECT_FALSE(table.reports(first[0], 3, -1));
}

TEST(Hyperband, RefusesMoreBracketsThanRungs) {
  SweepConfig config = halving_config("hyperband");
  config.hyperband.brackets = 4;
  EXPECT_THROW(Table(config, 9), ConfigError);
  config.hyperband.brackets = 3;
  Table(config, 9);
}

TEST(RadicalInverse, MirrorsBits) {
  EXPECT_EQ(radical_inverse(0), 0);
  EXPECT_EQ(radical_inverse(1), 0.5);
  EXPECT_EQ(radical_inverse(2), 0.25);
  EXPECT_EQ(radical_inverse(3), 0.75);
  EXPECT_EQ(radical_inverse(6), 0.375);
}

}  // namespace
}  // namespace trireme
