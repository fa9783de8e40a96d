// Aging evolution: who is a parent, what a child is, and that it finds what random search does not.
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <vector>

#include "support/expect_error.h"
#include "sweep/support.h"

namespace trireme {
namespace {

SweepConfig evolution_config(int64_t seed = 1, size_t objectives = 1) {
  SweepConfig config;
  config.sweep.sampler = "evolution";
  config.sweep.seed = seed;
  config.objectives.resize(objectives);
  return config;
}

double best_of(const TestFunction& function, SweepConfig config, const char* name, int64_t trials,
               int64_t parallel) {
  config.sweep.sampler = name;
  std::unique_ptr<Sampler> sampler = make_sampler(config, function.space);
  return best_score(sweep_function(*sampler, function.space, function.value, trials, parallel).history()) -
         function.best;
}

TEST(Evolution, LeavesRandomSearchBehind) {
  TestFunction functions[] = {sphere(5), branin(), rosenbrock4_mixed(), ackley10()};
  for (const TestFunction& function : functions) {
    double evolution = 0, random = 0;
    for (int64_t seed = 1; seed <= 6; ++seed) {
      SweepConfig config = evolution_config(seed);
      evolution += best_of(function, config, "evolution", 200, 8);
      random += best_of(function, config, "random", 200, 8);
    }
    EXPECT_LT(evolution, (function.name == "ackley10" ? 0.8 : 0.3) * random) << function.name;
  }
}

TEST(Evolution, FindsTheWayThroughConditions) {
  TestFunction function = conditional_toy();
  double sum = 0;
  for (int64_t seed = 1; seed <= 6; ++seed) {
    sum += best_of(function, evolution_config(seed), "evolution", 150, 8);
  }
  EXPECT_LT(sum / 6, 0.01);
}

TEST(Evolution, TakesTheBestOfATournamentAsParent) {
  TestFunction function = sphere(2);
  SweepConfig config = evolution_config();
  config.evolution.population = 6;
  config.evolution.tournament = 6;  // all of them: the best is certain
  std::unique_ptr<Sampler> sampler = make_sampler(config, function.space);
  SweepStory story(function.space);
  for (double x : {-4.0, 2.0, 0.0, 3.0, 4.0, -1.0}) story.finished({x, x}, {(x - 1) * (x - 1)});
  EXPECT_EQ(sampler->suggest(story.history(), 6)->parent, 1) << "of equals the one drawn first, 1 or 2";
}

TEST(Evolution, ForgetsTheOldest) {
  TestFunction function = sphere(2);
  SweepConfig config = evolution_config();
  config.evolution.population = 4;
  config.evolution.tournament = 4;
  std::unique_ptr<Sampler> sampler = make_sampler(config, function.space);
  SweepStory story(function.space);
  int64_t best = story.run({1, 1});  // begins first, and ends when one other has ended
  story.finished({2, 2}, {2});
  story.finish(best, {0});
  for (int i = 0; i < 3; ++i) story.finished({3.0 + 0.1 * i, 3}, {5.0 - i});
  EXPECT_EQ(sampler->suggest(story.history(), 5)->parent, best) << "the second oldest by its end";
  story.finished({4, 4}, {9});
  EXPECT_EQ(sampler->suggest(story.history(), 6)->parent, 4) << "the best of the last four";
}

TEST(Evolution, ChangesOneParameterByDefaultAndAnyByChance) {
  TestFunction function = ackley10();
  SweepConfig config = evolution_config();
  config.evolution.population = 2;
  config.evolution.tournament = 2;
  auto changes = [&](double probability) {
    config.evolution.mutation_probability = probability;
    std::unique_ptr<Sampler> sampler = make_sampler(config, function.space);
    SweepStory story(function.space);
    Point parent(10, 3);
    story.finished(parent, {1});
    story.finished(Point(10, 4), {2});
    double sum = 0;
    for (int64_t number = 2; number < 202; ++number) {
      Suggestion child = *sampler->suggest(story.history(), number);
      EXPECT_EQ(child.parent, 0);
      int changed = 0;
      for (size_t i = 0; i < 10; ++i) changed += child.point[i] != parent[i];
      EXPECT_GE(changed, 1);
      sum += changed;
    }
    return sum / 200;
  };
  EXPECT_NEAR(changes(0), 1.9, 0.25);  // one that is certain, and a tenth of nine others
  EXPECT_NEAR(changes(0.5), 5.5, 0.5);
}

TEST(Evolution, ScoresNoFailureAsParent) {
  TestFunction function = sphere(2);
  SweepConfig config = evolution_config();
  config.evolution.population = 4;
  config.evolution.tournament = 3;
  std::unique_ptr<Sampler> sampler = make_sampler(config, function.space);
  SweepStory story(function.space);
  for (int i = 0; i < 3; ++i) story.failed({0.5 * i, 0});
  story.finished({4, 4}, {100});
  int with_parent = 0;
  for (int64_t number = 4; number < 40; ++number) {
    int64_t parent = sampler->suggest(story.history(), number)->parent;
    EXPECT_TRUE(parent == 3 || parent == -1);  // a tournament of failures alone has no winner
    with_parent += parent == 3;
  }
  EXPECT_GT(with_parent, 20);
}

TEST(Evolution, AFailureIsNoParentHoweverGoodItsReportsWere) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  TestFunction function = sphere(2);
  for (size_t objectives : {1u, 2u}) {
    SweepConfig config = evolution_config(1, objectives);
    config.evolution.population = 4;
    config.evolution.tournament = 4;
    std::unique_ptr<Sampler> sampler = make_sampler(config, function.space);
    SweepStory story(function.space);
    story.failed_late({1, 1}, std::vector<double>(objectives, 0.0));
    story.finished({4, 4}, std::vector<double>(objectives, 100.0));
    story.failed_late({2, 1}, std::vector<double>(objectives, 1.0));
    story.finished({3, 4}, std::vector<double>(objectives, infinity));
    EXPECT_EQ(sampler->suggest(story.history(), 4)->parent, 1);
    for (int i = 0; i < 4; ++i) story.failed_late({1, 0.5 * i}, std::vector<double>(objectives, 0.0));
    EXPECT_EQ(sampler->suggest(story.history(), 8)->parent, -1) << "the last four have failed";
  }
}

// Schaffer's problem in four parameters: the front is where all are equal, between 0 and 2.
TEST(Evolution, SpreadsAlongTheFrontOfTwoObjectives) {
  Space space = toy_space(cube(4, -5, 5));
  auto scores = [](const Point& x) {
    double one = 0, two = 0;
    for (double v : x) {
      one += v * v;
      two += (v - 2) * (v - 2);
    }
    return std::vector<double>{one, two};
  };
  auto area_of = [&](const char* name, int64_t seed) {
    SweepConfig config = evolution_config(seed, 2);
    config.sweep.sampler = name;
    std::unique_ptr<Sampler> sampler = make_sampler(config, space);
    SweepStory story(space);
    for (int64_t number = 0; number < 300; ++number) {
      Suggestion one = *sampler->suggest(story.history(), number);
      story.finished(one.point, scores(one.point), one.parent);
    }
    // What the front dominates of the square [0, 40]^2.
    double area = 0, above = 40;
    for (int64_t number : pareto_front(story.history().trials())) {
      const std::vector<double>& at = story.history().trial(number).scores;
      if (at[0] > 40 || at[1] >= above) continue;
      area += (40 - at[0]) * (above - at[1]);
      above = at[1];
    }
    return area;
  };
  // The front is sqrt(a) + sqrt(b) = 4: below it lie 256 / 6 of 1600.
  double most = 1600 - 256.0 / 6, evolution = 0, random = 0;
  for (int64_t seed = 1; seed <= 4; ++seed) {
    evolution += area_of("evolution", seed) / 4;
    random += area_of("random", seed) / 4;
  }
  EXPECT_LT(evolution, most);
  EXPECT_LT(most - evolution, 0.2 * (most - random));
}

TEST(Evolution, RefusesATournamentLargerThanThePopulation) {
  TestFunction function = sphere(2);
  SweepConfig config = evolution_config();
  config.evolution.tournament = 33;
  test::expect_error(ExitCode::bad_config, {"sweep.evolution.tournament", "33", "32"},
                     [&] { make_sampler(config, function.space); });
}

}  // namespace
}  // namespace trireme
