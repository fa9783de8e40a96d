// TPE: its densities, which trials it takes for good ones, and that it finds what it should.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "sweep/samplers/normal.h"
#include "sweep/samplers/observations.h"
#include "sweep/samplers/parzen.h"
#include "sweep/support.h"

namespace trireme {
namespace {

double mean_regret(const char* name, const TestFunction& function, int64_t trials, int64_t parallel) {
  double sum = 0;
  int64_t seeds = 6;
  for (int64_t seed = 1; seed <= seeds; ++seed) {
    SweepConfig config;
    config.sweep.sampler = name;
    config.sweep.seed = seed;
    config.objectives.resize(1);
    std::unique_ptr<Sampler> sampler = make_sampler(config, function.space);
    SweepStory story = sweep_function(*sampler, function.space, function.value, trials, parallel,
                                      static_cast<uint64_t>(seed));
    sum += best_score(story.history()) - function.best;
  }
  return sum / static_cast<double>(seeds);
}

TEST(Normal, QuantileUndoesTheDistribution) {
  for (double p : {1e-12, 1e-5, 0.02, 0.3, 0.5, 0.7, 0.98, 1 - 1e-5}) {
    EXPECT_NEAR(normal_cdf(normal_quantile(p)) / p, 1, 1e-12) << p;
  }
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-14);
}

TEST(Normal, MassesAreRightInBothTails) {
  EXPECT_NEAR(std::exp(log_normal_mass(-1, 1)), 0.6826894921370859, 1e-14);
  EXPECT_NEAR(log_normal_mass(10, 11), log_normal_mass(-11, -10), 1e-12);
  EXPECT_NEAR(log_normal_mass(10, 11), std::log(7.6198530241605e-24 - 1.9106595744986e-28), 1e-9);
  EXPECT_EQ(log_normal_mass(1, 1), -std::numeric_limits<double>::infinity());
}

// Kernels of all kinds on a real axis, a logarithmic integer and a choice.
struct Kinds {
  Space space = toy_space({real_parameter("x", -2, 6), integer_parameter("n", 1, 9, true),
                           choice_parameter("c", {"\"a\"", "\"b\"", "\"c\""})});
  std::vector<std::vector<double>> rows{{-1.5, 2, 0}, {-1, 2, 2}, {4, 9, 0}};
  ParzenMixture mixture{axes_of(space), rows, {1, 1, 0.5}, {}};
};

TEST(ParzenMixture, IntegratesToOne) {
  Kinds kinds;
  double sum = 0;
  int cells = 4000;
  for (int i = 0; i < cells; ++i) {
    double x = -2 + 8 * (i + 0.5) / cells;
    for (double n = 1; n <= 9; ++n) {
      for (double c = 0; c < 3; ++c) sum += std::exp(kinds.mixture.log_density({x, n, c})) / cells;
    }
  }
  EXPECT_NEAR(sum, 1, 1e-6);
}

TEST(ParzenMixture, DrawsAsItsDensitySays) {
  Kinds kinds;
  RandomStream random(3, Purpose::test);
  int draws = 40000;
  std::vector<double> of_n(10), of_c(3);
  double below_zero = 0;
  for (int i = 0; i < draws; ++i) {
    std::vector<double> values = kinds.mixture.draw(random);
    of_n.at(static_cast<size_t>(values[1])) += 1.0 / draws;
    of_c.at(static_cast<size_t>(values[2])) += 1.0 / draws;
    below_zero += values[0] < 0 ? 1.0 / draws : 0;
  }
  std::vector<double> wanted_n(10), wanted_c(3);
  double wanted_below = 0;
  int cells = 800;
  for (int i = 0; i < cells; ++i) {
    double x = -2 + 8 * (i + 0.5) / cells;
    for (double n = 1; n <= 9; ++n) {
      for (double c = 0; c < 3; ++c) {
        double mass = std::exp(kinds.mixture.log_density({x, n, c})) / cells;
        wanted_n[static_cast<size_t>(n)] += mass;
        wanted_c[static_cast<size_t>(c)] += mass;
        wanted_below += x < 0 ? mass : 0;
      }
    }
  }
  for (size_t n = 1; n <= 9; ++n) EXPECT_NEAR(of_n[n], wanted_n[n], 0.012) << n;
  for (size_t c = 0; c < 3; ++c) EXPECT_NEAR(of_c[c], wanted_c[c], 0.012) << c;
  EXPECT_NEAR(below_zero, wanted_below, 0.012);
  EXPECT_GT(of_n[2], of_n[5]) << "two kernels are about 2";
}

TEST(BestFirst, FinishedOnesThenThoseOfMoreEpochs) {
  TestFunction function = sphere(1);
  SweepStory story(function.space);
  auto at_epochs = [&](std::vector<double> scores, const char* state) {
    int64_t trial = story.run({1});
    int64_t epoch = 0;
    for (double score : scores) story.report(trial, ++epoch, {score});
    story.end(trial, state);
    return trial;
  };
  at_epochs({0.5, 0.1}, "paused");         // 0
  at_epochs({0.9, 0.8, 0.7}, "finished");  // 1
  at_epochs({0.4, 0.3}, "stopped");        // 2
  at_epochs({0.01}, "stopped");            // 3
  at_epochs({0.9, 0.6, 0.5}, "finished");  // 4
  story.failed({2});                       // 5
  story.run({3});                          // 6
  std::vector<Observation> seen = observe(story.history(), 99);
  std::vector<size_t> order = best_first(seen);
  EXPECT_EQ(order, (std::vector<size_t>{4, 1, 0, 2, 3}));
  EXPECT_EQ(count_ended(seen), 6);
  EXPECT_EQ(seen[6].kind, Observation::Kind::pending);
  EXPECT_EQ(observe(story.history(), 6).size(), 6) << "it does not see itself";
}

TEST(BestFirst, FrontsOfSeveralObjectivesAndWithinOneTheLessCrowded) {
  TestFunction function = sphere(1);
  SweepStory story(function.space);
  for (const std::vector<double>& scores :
       std::vector<std::vector<double>>{{3, 3}, {0, 4}, {1, 1.1}, {1.1, 1}, {4, 0}, {2, 2}}) {
    story.finished({1}, scores);
  }
  std::vector<size_t> order = best_first(observe(story.history(), 99));
  // The ends first, then the two that crowd each other, then the fronts behind.
  EXPECT_EQ(order, (std::vector<size_t>{1, 4, 2, 3, 5, 0}));
}

TEST(ExpectedScores, GoOnAsOthersDid) {
  TestFunction function = sphere(1);
  SweepStory story(function.space);
  for (double final : {0.5, 0.4, 0.2}) {
    int64_t trial = story.run({1});
    story.report(trial, 1, {1});
    story.report(trial, 2, {final});
    story.end(trial, "finished");
  }
  int64_t left = story.run({2});
  story.report(left, 1, {3});
  story.end(left, "paused");
  story.failed({2});
  std::vector<double> scores = expected_scores(story.history(), observe(story.history(), 99), 0, false);
  ASSERT_EQ(scores.size(), 5);
  EXPECT_DOUBLE_EQ(scores[2], 0.2);
  EXPECT_DOUBLE_EQ(scores[3], 3 - 0.6);  // the median of what the others gained from epoch 1 on
  EXPECT_TRUE(std::isnan(scores[4]));
}

TEST(Tpe, IsBetterThanRandom) {
  for (const TestFunction& function : {branin(), hartmann6(), conditional_toy()}) {
    double tpe = mean_regret("tpe", function, 80, 4), random = mean_regret("random", function, 80, 4);
    EXPECT_LT(tpe, 0.7 * random) << function.name;
  }
}

TEST(Tpe, KeepsAwayFromWhatIsPending) {
  TestFunction function = sphere(2);
  SweepStory story(function.space);
  RandomStream random(5, Purpose::test);
  for (int i = 0; i < 40; ++i) {
    Point point = function.space.draw(random);
    story.finished(point, {function.value(point)});
  }
  SweepStory busy = story;
  for (int i = 0; i < 30; ++i) busy.run({1 + 0.02 * i, 1});
  SweepConfig config;
  config.sweep.sampler = "tpe";
  config.objectives.resize(1);
  std::unique_ptr<Sampler> sampler = make_sampler(config, function.space);
  double alone = 0, among = 0;
  for (int64_t number = 100; number < 140; ++number) {
    auto distance = [](const Point& x) { return std::hypot(x[0] - 1.3, x[1] - 1); };
    alone += distance(sampler->suggest(story.history(), number)->point);
    among += distance(sampler->suggest(busy.history(), number)->point);
  }
  EXPECT_GT(among, 1.2 * alone);
}

TEST(Tpe, LeavesWhereTrialsFail) {
  TestFunction function = sphere(2);
  SweepConfig config;
  config.sweep.sampler = "tpe";
  config.objectives.resize(1);
  std::unique_ptr<Sampler> sampler = make_sampler(config, function.space);
  SweepStory story(function.space);
  int failures = 0;
  for (int64_t number = 0; number < 80; ++number) {
    Point point = sampler->suggest(story.history(), number)->point;
    if (point[0] > 3) {  // the best point is at 1
      story.failed(point);
      failures += number >= 40;
    } else {
      story.finished(point, {function.value(point)});
    }
  }
  EXPECT_LT(failures, 4);  // of 40, where the part of the space that fails has 8
}

TEST(Tpe, GathersOnTheFrontOfTwoObjectives) {
  Space space = toy_space(cube(2, -4, 4));
  SweepConfig config;
  config.sweep.sampler = "tpe";
  config.objectives.resize(2);
  std::unique_ptr<Sampler> sampler = make_sampler(config, space);
  SweepStory story(space);
  int near = 0;
  for (int64_t number = 0; number < 120; ++number) {
    Point x = sampler->suggest(story.history(), number)->point;
    story.finished(x, {x[0] * x[0] + x[1] * x[1], (x[0] - 2) * (x[0] - 2) + x[1] * x[1]});
    near += number >= 60 && x[0] > -0.5 && x[0] < 2.5 && std::abs(x[1]) < 0.5;
  }
  EXPECT_GT(near, 20);  // of 60; 2.8 by chance
}

}  // namespace
}  // namespace trireme
