// Population-based training and tournaments: who takes over from whom, and with which values.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "sweep/schedulers/explore.h"
#include "sweep/simulation.h"

namespace trireme {
namespace {

using testing::HasSubstr;

const Openings anything{[](const Trial&) { return true; }, true};

// A population by hand: member i has the rate 0.01 * (i + 1) and reports what it is told to.
struct Members {
  Members(SweepConfig config, Space members_space)
      : space(std::move(members_space)), scheduler(make_scheduler(config, space, 8)), story(space) {}
  explicit Members(const SweepConfig& config) : Members(config, rate_space()) {}

  int64_t joins(double score, int64_t epochs = 1) {
    auto number = static_cast<double>(story.history().trials().size());
    int64_t trial = story.run({0.01 * (number + 1)});
    reports(trial, score, epochs);
    return trial;
  }
  void reports(int64_t trial, double score, int64_t epochs) {
    story.report(trial, epochs, {score});
    Verdict verdict = scheduler->judge(story.history(), trial);
    EXPECT_EQ(verdict.kind, Verdict::Kind::pause);
    story.decide(trial, "pause", verdict.reason);
    story.end(trial, "paused");
  }
  // Who goes on next; it runs then.
  TakeUp next(const Openings& openings = anything) {
    auto taken = scheduler->take_up(story.history(), openings);
    if (!taken) return {-1};
    if (taken->source < 0) {
      story.begin(taken->trial, true);
    } else {
      story.take_over(taken->trial, taken->source, taken->point);
    }
    return *taken;
  }

  Space space;
  std::unique_ptr<Scheduler> scheduler;
  SweepStory story;
};

SweepConfig pbt_config(int64_t population = 8, uint64_t seed = 1) {
  SweepConfig config = scheduled("pbt");
  config.sweep.seed = static_cast<int64_t>(seed);
  config.pbt.population = population;
  config.pbt.resample_probability = 0;
  return config;
}

TEST(Pbt, TheWorstTakeOverFromTheBest) {
  std::set<int64_t> sources;
  std::set<double> factors;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Members members(pbt_config(8, seed));
    for (double score : {0.5, 0.1, 0.6, 0.9, 0.4, 0.2, 0.8, 0.3}) members.joins(score);
    for (int64_t trial = 0; trial < 8; ++trial) {
      TakeUp taken = members.next();
      EXPECT_EQ(taken.trial, trial);  // all have one epoch: by number
      if (trial != 3 && trial != 6) {
        EXPECT_EQ(taken.source, -1) << "trial " << trial;
        continue;
      }
      sources.insert(taken.source);
      double before = members.story.history().trial(taken.source).point[0];
      factors.insert(std::round(1e6 * taken.point[0] / before) / 1e6);
    }
    EXPECT_EQ(members.next().trial, -1);
  }
  EXPECT_THAT(sources, testing::ElementsAre(1, 5));
  EXPECT_THAT(factors, testing::ElementsAre(0.833333, 1.2));
}

TEST(Pbt, WhoIsTakenUpDependsOnSeedTrialAndEpochAlone) {
  auto decisions = [](uint64_t seed, bool other_order) {
    Members members(pbt_config(4, seed));
    for (double score : {0.4, 0.3, 0.2, 0.1}) members.joins(score);
    std::vector<TakeUp> taken;
    for (int64_t epoch = 2; epoch <= 6; ++epoch) {
      for (int i = 0; i < 4; ++i) taken.push_back(members.next());
      for (int i = 0; i < 4; ++i) {
        int64_t trial = other_order ? 3 - i : i;
        members.reports(trial, 1.0 / static_cast<double>(1 + trial), epoch);
      }
    }
    return taken;
  };
  auto points = [](const std::vector<TakeUp>& taken) {
    std::vector<std::vector<double>> all;
    for (const TakeUp& one : taken) all.push_back(one.point);
    return all;
  };
  EXPECT_EQ(points(decisions(3, false)), points(decisions(3, true)));
  EXPECT_NE(points(decisions(3, false)), points(decisions(4, false)));
}

TEST(Pbt, TheLeastAdvancedGoesFirst) {
  Members members(pbt_config(4));
  for (double score : {0.1, 0.1, 0.1, 0.1}) members.joins(score);
  EXPECT_EQ(members.next().trial, 0);
  EXPECT_EQ(members.next().trial, 1);
  members.reports(0, 0.1, 2);
  EXPECT_EQ(members.next().trial, 2);
  EXPECT_EQ(members.next().trial, 3);
  EXPECT_EQ(members.next().trial, 0);
}

TEST(Pbt, NobodyGoesOnBeforeAllHaveBegun) {
  Members members(pbt_config(3));
  members.joins(0.1);
  EXPECT_TRUE(members.scheduler->wants_new(members.story.history()));
  EXPECT_EQ(members.next().trial, -1);
  members.joins(0.2);
  // But where no more can come (the budget is spent, the grid is done), those that are there go on.
  EXPECT_EQ(members.next({anything.fits, false}).trial, 0);
  members.joins(0.3);
  EXPECT_FALSE(members.scheduler->wants_new(members.story.history()));
  EXPECT_EQ(members.next().trial, 1);
}

TEST(Pbt, MembersAtOtherEpochsAreComparedByTheirNewestReports) {
  Members members(pbt_config(4));
  for (double score : {0.9, 0.8, 0.7, 0.95}) members.joins(score);
  EXPECT_EQ(members.next().source, -1);
  members.reports(0, 0.1, 2);  // the best now, an epoch ahead
  for (int64_t trial : {1, 2}) EXPECT_EQ(members.next().trial, trial);
  TakeUp taken = members.next();
  EXPECT_EQ(taken.trial, 3);
  EXPECT_EQ(taken.source, 0);
}

TEST(Pbt, FailedMembersAreNobodysSource) {
  Members members(pbt_config(4));
  for (double score : {0.9, 0.8, 0.7}) members.joins(score);
  int64_t bad = members.story.run({0.04});
  members.story.report(bad, 1, {0.0});
  members.story.end(bad, "failed", "nan");
  // 3 are left, of whom the quarter is nobody.
  EXPECT_EQ(members.next().source, -1);
  SweepConfig config = pbt_config(4);
  config.pbt.quantile = 0.34;
  Members others(config);
  for (double score : {0.9, 0.8, 0.7}) others.joins(score);
  bad = others.story.run({0.04});
  others.story.report(bad, 1, {0.0});
  others.story.end(bad, "failed", "nan");
  EXPECT_EQ(others.next().source, 2);
}

TEST(Pbt, EqualsKeepWhatTheyHave) {
  Members members(pbt_config(8));
  for (int i = 0; i < 8; ++i) members.joins(0.5);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(members.next().source, -1);
}

TEST(Pbt, PausesOnceAnInterval) {
  SweepConfig config = pbt_config(2);
  config.pbt.interval_epochs = 3;
  Members members(config);
  int64_t trial = members.story.run({0.01});
  for (int64_t epoch = 1; epoch <= 8; ++epoch) {
    members.story.report(trial, epoch, {0.5});
    Verdict verdict = members.scheduler->judge(members.story.history(), trial);
    EXPECT_EQ(verdict.kind == Verdict::Kind::pause, epoch == 3 || epoch == 6) << epoch;
  }
}

TEST(Explore, StaysWithinTheSpace) {
  Space space = toy_space({real_parameter("a", 1e-3, 1, true),
                           integer_parameter("b", 1, 9),
                           choice_parameter("c", {"1", "2", "3", "4"}),
                           only_when(real_parameter("d", -1, 1), "c >= 3"),
                           {.key = "e",
                            .kind = ParameterKind::real,
                            .low = 0.5,
                            .high = 2.5,
                            .step = 0.25,
                            .origin = "toy.toml:1:1"}},
                          {"b + e <= 10"});
  PopulationConfig settings{.resample_probability = 0};
  Point from{0.5, 2, 1, kNan, 0.5};
  std::array<std::set<double>, 5> seen;
  for (uint32_t seed = 0; seed < 200; ++seed) {
    RandomStream random(seed, Purpose::test);
    Point to = explored(space, settings, from, random);
    Point settled = to;
    space.settle(settled);
    EXPECT_TRUE(same_point(to, settled));
    EXPECT_TRUE(space.allows(to));
    for (size_t i = 0; i < 5; ++i) {
      if (!std::isnan(to[i])) seen[i].insert(to[i]);
    }
    EXPECT_EQ(std::isnan(to[3]), to[2] < 2);
  }
  EXPECT_THAT(seen[0], testing::ElementsAre(testing::DoubleEq(0.5 / 1.2), testing::DoubleEq(0.6)));
  EXPECT_THAT(seen[1], testing::ElementsAre(1, 3));  // a fifth of 2 is less than one
  EXPECT_THAT(seen[2], testing::ElementsAre(0, 2));  // the neighbours
  EXPECT_GT(seen[3].size(), 20u);                    // drawn where it becomes active
  EXPECT_THAT(seen[4], testing::ElementsAre(0.5, 0.75));
}

TEST(Explore, DrawsAnewWithItsProbability) {
  Space space = rate_space();
  int anew = 0;
  for (uint32_t seed = 0; seed < 1000; ++seed) {
    RandomStream random(seed, Purpose::test);
    double to = explored(space, {.resample_probability = 0.25}, {0.1}, random)[0];
    anew += std::abs(to - 0.12) > 1e-9 && std::abs(to - 0.1 / 1.2) > 1e-9;
  }
  EXPECT_NEAR(anew, 250, 45);
}

TEST(Explore, KeepsThePointWhereNothingElseIsAllowed) {
  Space space = toy_space({real_parameter("a", 0, 1)}, {"a >= 0.5", "a <= 0.5"});
  RandomStream random(1, Purpose::test);
  EXPECT_EQ(explored(space, {.resample_probability = 0.5}, {0.5}, random), Point{0.5});
}

TEST(Populations, RefuseKeysThatARunCannotChange) {
  auto refusal = [](const std::string& scheduler, Parameter parameter) -> std::string {
    Space space = toy_space({std::move(parameter)});
    try {
      make_scheduler(scheduled(scheduler), space, 9);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  for (const char* scheduler : {"pbt", "ltfb"}) {
    for (const char* key : {"model.dense", "data.batch", "train.micro_batches", "sweep.ranks_per_trial",
                            "data.transform.crop", "run.seed", "optimizer.kind"}) {
      std::string message = refusal(scheduler, integer_parameter(key, 1, 4));
      EXPECT_THAT(message, HasSubstr(std::string("[space] ") + key + ":"));
      EXPECT_THAT(message, HasSubstr("toy.toml:1:1"));
    }
    for (const char* key : {"optimizer.learning_rate", "optimizer.weight_decay", "model.dropout",
                            "optimizer.discriminator.beta1", "data.transform.rotation_degrees",
                            "schedule.final_fraction", "train.label_smoothing"}) {
      EXPECT_EQ(refusal(scheduler, real_parameter(key, 0, 0.5)), "") << key;
    }
    // With a momentum of 0 sgd has no memory that a state with one would fit into.
    EXPECT_EQ(refusal(scheduler, real_parameter("optimizer.momentum", 0.1, 0.9)), "");
    EXPECT_THAT(refusal(scheduler, real_parameter("optimizer.momentum", 0, 0.9)), HasSubstr("above 0"));
    EXPECT_THAT(refusal(scheduler, choice_parameter("optimizer.ema_decay", {"0.0", "0.99"})),
                HasSubstr("above 0"));
  }
  EXPECT_EQ(refusal("asha", integer_parameter("model.dense", 1, 4)), "");
}

SweepConfig ltfb_config(int64_t population, bool copies_values = true, uint64_t seed = 1) {
  SweepConfig config = scheduled("ltfb");
  config.sweep.seed = static_cast<int64_t>(seed);
  config.ltfb.population = population;
  config.ltfb.copies_values = copies_values;
  return config;
}

TEST(Ltfb, TheLoserTakesTheWinnersState) {
  for (bool copies_values : {true, false}) {
    Members members(ltfb_config(2, copies_values));
    members.joins(0.5);
    members.joins(0.4);
    TakeUp loser = members.next(), winner = members.next();
    EXPECT_EQ(loser.trial, 0);
    EXPECT_EQ(loser.source, 1);
    EXPECT_EQ(loser.point[0], copies_values ? 0.02 : 0.01);
    EXPECT_EQ(winner.trial, 1);
    EXPECT_EQ(winner.source, -1);
  }
}

// The best wins against whoever it meets, the worst loses; the one between meets both, by the seed.
TEST(Ltfb, OpponentsAreDrawn) {
  std::set<int64_t> met;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Members members(ltfb_config(3, true, seed));
    for (double score : {0.5, 0.4, 0.6}) members.joins(score);
    met.insert(members.next().source);
    EXPECT_EQ(members.next().source, -1);
    EXPECT_NE(members.next().source, -1);
  }
  EXPECT_THAT(met, testing::ElementsAre(-1, 1));
}

TEST(Ltfb, OpponentsThatAreAheadAreComparedAtTheSameInterval) {
  Members members(ltfb_config(2));
  members.joins(0.5);
  members.joins(0.4);
  members.next();
  members.reports(0, 0.45, 2);
  EXPECT_EQ(members.next().trial, 1);  // 0.4 then against 0.5, though 0 has come to better since
  members.reports(1, 0.3, 2);
  members.story.begin(1, true);
  members.reports(1, 0.9, 3);  // worse again
  TakeUp taken = members.next();
  EXPECT_EQ(taken.trial, 0);
  EXPECT_EQ(taken.source, 1);  // 0.45 against 0.3
}

TEST(Ltfb, ThereIsNoOpponentAmongThoseBehind) {
  Members members(ltfb_config(2));
  members.joins(0.5);
  members.joins(0.4);
  EXPECT_EQ(members.next().source, 1);
  members.reports(0, 0.6, 2);
  members.story.begin(1, true);  // in its second interval
  EXPECT_EQ(members.next().source, -1);
}

// Figure 2 of Jaderberg et al.: nobody sees the objective 1.2 - (a^2 + b^2) itself, each climbs
// 1.2 - (h0 a^2 + h1 b^2) with hyperparameters that hide one half of it. Alone neither comes further than
// 0.4; a population that exploits and explores comes to the top.
TEST(Pbt, ClimbsWhatNoMemberCouldClimbAlone) {
  Space space = toy_space(
      {real_parameter("optimizer.learning_rate", 0, 1), real_parameter("optimizer.weight_decay", 0, 1)});
  auto reached = [&](const std::string& name, uint64_t seed) {
    SweepConfig config = scheduled(name);
    config.sweep.seed = static_cast<int64_t>(seed);
    config.pbt.population = 2;
    config.pbt.quantile = 0.5;
    config.pbt.interval_epochs = 2;
    std::array<std::array<double, 2>, 2> state{{{0.9, 0.9}, {0.9, 0.9}}};
    Simulated what{.workers = 2, .trials = 2, .max_epochs = 200, .seed = seed};
    what.suggest = [](int64_t trial) { return trial == 0 ? Point{1, 0} : Point{0, 1}; };
    what.train = [&](const Trial& trial, int64_t) {
      auto& [a, b] = state.at(static_cast<size_t>(trial.number));
      a -= 0.02 * trial.point[0] * a;
      b -= 0.02 * trial.point[1] * b;
      return a * a + b * b - 1.2;
    };
    what.copy_state = [&](int64_t trial, int64_t source) {
      state.at(static_cast<size_t>(trial)) = state.at(static_cast<size_t>(source));
    };
    auto scheduler = make_scheduler(config, space, what.max_epochs);
    return -best_finished(simulate(what, space, *scheduler));
  };
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    EXPECT_LT(reached("none", seed), 0.4);
    EXPECT_GT(reached("pbt", seed), 1.1);
  }
}

}  // namespace
}  // namespace trireme
