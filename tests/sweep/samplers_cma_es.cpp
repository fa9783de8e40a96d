// CMA-ES: that its distribution learns what it should, and that the sampler finds lowest points.
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <memory>
#include <vector>

#include "support/expect_error.h"
#include "sweep/samplers/cma_distribution.h"
#include "sweep/support.h"

namespace trireme {
namespace {

SweepConfig cma_config(int64_t seed = 1) {
  SweepConfig config;
  config.sweep.sampler = "cma_es";
  config.sweep.seed = seed;
  config.objectives.resize(1);
  return config;
}

double mean_regret(const TestFunction& function, const char* name, int64_t trials, int64_t parallel,
                   int seeds = 6) {
  double sum = 0;
  for (int64_t seed = 1; seed <= seeds; ++seed) {
    SweepConfig config = cma_config(seed);
    config.sweep.sampler = name;
    std::unique_ptr<Sampler> sampler = make_sampler(config, function.space);
    SweepStory story = sweep_function(*sampler, function.space, function.value, trials, parallel);
    sum += best_score(story.history()) - function.best;
  }
  return sum / seeds;
}

// Runs the distribution alone, generation by generation.
template <class Value>
CmaDistribution learn(CmaDistribution distribution, Value&& value, int generations) {
  RandomStream random(3, Purpose::test);
  for (int g = 0; g < generations; ++g) {
    std::vector<CmaSample> samples;
    for (int64_t i = 0; i < distribution.lambda(); ++i) samples.push_back(distribution.draw(random));
    std::sort(samples.begin(), samples.end(),
              [&](const CmaSample& a, const CmaSample& b) { return value(a) < value(b); });
    distribution.update(samples, samples.size());
  }
  return distribution;
}

TEST(CmaDistribution, LearnsTheShapeOfAnEllipsoid) {
  // x'Hx, narrow along the diagonal by 1 : 10: the best covariance is in proportion to the inverse of H.
  Eigen::Matrix2d axes;
  axes << 1, -1, 1, 1;
  axes /= std::sqrt(2);
  Eigen::Matrix2d hessian = axes * Eigen::Vector2d(1, 100).asDiagonal() * axes.transpose();
  Eigen::Vector2d lowest(0.4, 0.6);
  CmaDistribution distribution = learn(
      CmaDistribution(Eigen::Vector2d(0.5, 0.5), 0.2, 12, {}),
      [&](const CmaSample& one) { return (one.x - lowest).dot(hessian * (one.x - lowest)); }, 40);
  EXPECT_LT((distribution.mean() - lowest).norm(), 1e-4);
  EXPECT_LT(distribution.deviations().maxCoeff(), 1e-3);
  RandomStream random(4, Purpose::test);
  Eigen::Matrix2d covariance = Eigen::Matrix2d::Zero();
  for (int i = 0; i < 4000; ++i) {
    Eigen::Vector2d step = distribution.draw(random).x - distribution.mean();
    covariance += step * step.transpose();
  }
  double along = axes.col(0).dot(covariance * axes.col(0)),
         across = axes.col(1).dot(covariance * axes.col(1));
  EXPECT_GT(along / across, 20) << "100 in the limit";
}

TEST(CmaDistribution, LearnsWhichChoiceIsBestButKeepsTheOthers) {
  CmaDistribution distribution = learn(
      CmaDistribution(Eigen::VectorXd::Constant(1, 0.5), 0.2, 8, {3, 4}),
      [](const CmaSample& one) {
        return (one.choices[0] != 2) + 0.5 * (one.choices[1] != 1) + 0.01 * one.x.squaredNorm();
      },
      30);
  EXPECT_NEAR(distribution.probabilities()[0].sum(), 1, 1e-12);
  EXPECT_GT(distribution.probabilities()[0][2], 0.8);
  EXPECT_GT(distribution.probabilities()[1][1], 0.7);
  EXPECT_GT(distribution.probabilities()[0].minCoeff(), 0.02) << "never frozen";
}

TEST(CmaDistribution, FailuresGiveNoDirection) {
  CmaDistribution before(Eigen::Vector2d(0.5, 0.5), 0.2, 6, {});
  std::vector<CmaSample> samples;
  RandomStream random(5, Purpose::test);
  for (int i = 0; i < 6; ++i) samples.push_back(before.draw(random));
  CmaDistribution one_good = before;
  one_good.update(samples, 1);
  EXPECT_LT((one_good.mean() - samples[0].x).norm(), 1e-9) << "all the weight is the survivor's";
  CmaDistribution none_good = before;
  none_good.update(samples, 0);
  EXPECT_EQ(none_good.mean(), before.mean());
}

TEST(CmaDistribution, AMarginKeepsIntegersFromFreezing) {
  // An interval far wider than what is left of the deviation: with it, one of lambda * 2 draws leaves it.
  auto shrink = [](const CmaSample& one) { return (one.x - Eigen::Vector2d(0.45, 0.5)).norm(); };
  CmaDistribution frozen = learn(CmaDistribution(Eigen::Vector2d(0.5, 0.5), 0.2, 8, {}), shrink, 40);
  ASSERT_LT(frozen.deviations()[0], 1e-3);
  CmaInterval interval{.is_discrete = true, .low = 0.4, .high = 0.6};
  CmaInterval lowest{.is_discrete = true, .low = kNan, .high = 0.6};
  auto share_outside = [](const CmaDistribution& distribution, double low, double high) {
    RandomStream random(6, Purpose::test);
    int outside = 0;
    for (int i = 0; i < 4000; ++i) {
      double x = distribution.draw(random).x[0];
      outside += x < low || x > high;
    }
    return outside / 4000.0;
  };
  EXPECT_EQ(share_outside(frozen, 0.4, 0.6), 0);
  CmaDistribution kept = frozen;
  kept.keep_margin({interval, CmaInterval{}});
  EXPECT_NEAR(share_outside(kept, 0.4, 0.6), 1 / 16.0, 0.02);
  EXPECT_EQ(kept.deviations()[1], frozen.deviations()[1]) << "a continuum needs none";
  CmaDistribution beside = frozen;
  beside.keep_margin({lowest, CmaInterval{}});
  EXPECT_NEAR(share_outside(beside, -1, 0.6), 1 / 16.0, 0.02);
}

TEST(CmaDistribution, IsExhaustedByTinyStepsOfAContinuum) {
  auto shrink = [](const CmaSample& one) { return (one.x - Eigen::Vector2d(0.45, 0.5)).norm(); };
  CmaDistribution distribution = learn(CmaDistribution(Eigen::Vector2d(0.5, 0.5), 0.2, 8, {}), shrink, 80);
  ASSERT_LT(distribution.deviations().maxCoeff(), 1e-6);
  CmaInterval interval{.is_discrete = true, .low = 0.4, .high = 0.6};
  EXPECT_TRUE(distribution.is_exhausted({CmaInterval{}, CmaInterval{}}, 1e-6));
  distribution.keep_margin({interval, CmaInterval{}});
  EXPECT_TRUE(distribution.is_exhausted({interval, CmaInterval{}}, 1e-6))
      << "the margin's steps do not count";
  EXPECT_FALSE(distribution.is_exhausted({interval, CmaInterval{}}, 1e-12));
  EXPECT_FALSE(distribution.is_exhausted({interval, interval}, 1e-6));
}

TEST(CmaEs, FindsLowestPoints) {
  EXPECT_LT(mean_regret(sphere(5), "cma_es", 300, 1), 0.01);
  EXPECT_LT(mean_regret(branin(), "cma_es", 300, 1), 0.01);
  EXPECT_LT(mean_regret(rosenbrock4_mixed(), "cma_es", 400, 1), 10);
}

TEST(CmaEs, LeavesRandomSearchBehindWithEightPending) {
  TestFunction functions[] = {sphere(5), branin(), hartmann6(), rosenbrock4_mixed(), ackley10()};
  for (const TestFunction& function : functions) {
    double cma = mean_regret(function, "cma_es", 200, 8), random = mean_regret(function, "random", 200, 8);
    EXPECT_LT(cma, (function.name == "ackley10" ? 0.6 : 0.3) * random) << function.name;
  }
}

TEST(CmaEs, KnowsConditionsAndChoices) {
  EXPECT_LT(mean_regret(conditional_toy(), "cma_es", 200, 8), 0.02);
  Space choices =
      toy_space({choice_parameter("a", {"1", "2", "3", "4"}), choice_parameter("b", {"1", "2", "3"}),
                 choice_parameter("c", {"1", "2", "3", "4"})});
  TestFunction only_choices{"choices", choices,
                            [](const Point& x) { return std::abs(x[0] - 2) + std::abs(x[1] - 2) + x[2]; }, 0};
  EXPECT_EQ(mean_regret(only_choices, "cma_es", 40, 4), 0) << "of 48 points";
}

TEST(CmaEs, IntegersDoNotFreeze) {
  // A narrow staircase: with the deviation shrunk by x0, the integers still have ten steps to go.
  TestFunction stairs{
      "stairs",
      toy_space({real_parameter("x0", 0, 1), integer_parameter("n", 0, 20), integer_parameter("m", 0, 1)}),
      [](const Point& x) { return 100 * std::abs(x[0] - 0.5) + 0.1 * (20 - x[1]) + x[2]; }, 0};
  EXPECT_LT(mean_regret(stairs, "cma_es", 600, 4), 0.15);
}

TEST(CmaEs, BeginsElsewhereWhereAllFail) {
  // All but a corner fails, six deviations away from where it begins.
  Space space = toy_space(cube(2, 0, 1));
  for (int64_t seed = 1; seed <= 6; ++seed) {
    SweepConfig config = cma_config(seed);
    config.cma_es.sigma = 0.05;
    std::unique_ptr<Sampler> sampler = make_sampler(config, space);
    SweepStory story(space);
    for (int64_t number = 0; number < 300; ++number) {
      Point x = sampler->suggest(story.history(), number)->point;
      if (x[0] > 0.7 && x[1] < 0.2) {
        story.finished(x, {(1 - x[0]) + x[1]});
      } else {
        story.failed(x);
      }
    }
    EXPECT_LT(best_score(story.history()), 0.1) << "seed " << seed;
  }
}

TEST(CmaEs, LearnsNothingFromReportsBeforeAFailure) {
  // What fails reports scores on its way that are better than anything that lives: the sampler must do as if
  // it had reported nothing.
  Space space = toy_space(cube(2, 0, 1));
  auto points_with = [&](bool reports) {
    std::unique_ptr<Sampler> sampler = make_sampler(cma_config(), space);
    SweepStory story(space);
    std::vector<Point> points;
    for (int64_t number = 0; number < 60; ++number) {
      Point x = points.emplace_back(sampler->suggest(story.history(), number)->point);
      if (x[0] < 0.5) {
        story.finished(x, {x[0] + x[1]});
      } else if (reports) {
        story.failed_late(x, {-x[0]});
      } else {
        story.failed(x);
      }
    }
    return points;
  };
  EXPECT_EQ(points_with(true), points_with(false));
}

TEST(CmaEs, ForgetsWhatAPausedTrialReportedWhenItFails) {
  TestFunction function = sphere(2);
  SweepStory story(function.space);
  std::unique_ptr<Sampler> seen_before = make_sampler(cma_config(), function.space);
  for (int64_t number = 0; number < 24; ++number) {
    int64_t trial = story.run(seen_before->suggest(story.history(), number)->point);
    story.report(trial, 1, {static_cast<double>(number)});
    story.end(trial, "paused");
  }
  seen_before->suggest(story.history(), 24);
  for (int64_t number = 0; number < 4; ++number) {
    story.begin(number, true);
    story.end(number, "failed", "it is a bad one");
  }
  std::unique_ptr<Sampler> fresh = make_sampler(cma_config(), function.space);
  for (int64_t number = 24; number < 30; ++number) {
    EXPECT_EQ(seen_before->suggest(story.history(), number)->point,
              fresh->suggest(story.history(), number)->point);
  }
}

TEST(CmaEs, LearnsFromPointsOfOthersToo) {
  // Nothing here was suggested by it: a sweep whose points were changed on the way, or another seed's.
  TestFunction function = sphere(3);
  std::unique_ptr<Sampler> sampler = make_sampler(cma_config(), function.space);
  SweepStory story(function.space);
  RandomStream random(8, Purpose::test);
  for (int i = 0; i < 140; ++i) {
    Point point = function.space.draw(random);
    story.finished(point, {function.value(point)});
  }
  double sum = 0;
  for (int64_t number = 140; number < 170; ++number) {
    sum += function.value(sampler->suggest(story.history(), number)->point) / 30;
  }
  EXPECT_LT(sum, 12) << "a random point has 28 on average";
}

TEST(CmaEs, RefusesWhatItCannotServe) {
  TestFunction function = sphere(2);
  SweepConfig config = cma_config();
  config.objectives.resize(2);
  test::expect_error(ExitCode::bad_config, {"sweep.sampler", "cma_es", "one objective", "evolution"},
                     [&] { make_sampler(config, function.space); });
  config = cma_config();
  config.cma_es.population = 2;
  test::expect_error(ExitCode::bad_config, {"sweep.cma_es.population", "at least 3"},
                     [&] { make_sampler(config, function.space); });
}

}  // namespace
}  // namespace trireme
