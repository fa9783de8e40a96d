// Quasi-random search fills the space evenly, with any seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "support/expect_error.h"
#include "sweep/support.h"

namespace trireme {
namespace {

std::vector<Point> points_of(const Space& space, int64_t count, int64_t seed = 1,
                             const char* name = "sobol") {
  SweepConfig config;
  config.sweep.sampler = name;
  config.sweep.seed = seed;
  config.objectives.resize(1);
  std::unique_ptr<Sampler> sampler = make_sampler(config, space);
  History empty;
  std::vector<Point> points;
  for (int64_t number = 0; number < count; ++number) {
    points.push_back(sampler->suggest(empty, number)->point);
  }
  return points;
}

// What Sobol's points are known by, and what scrambling keeps: of the first 2^k points each of the 2^k slices
// of any one parameter has exactly one, and of two parameters so has each box of area 2^-k for the first
// pair.
TEST(Sobol, HasOnePointInEachSlice) {
  Space space = toy_space(cube(12, 0, 1));
  for (int64_t seed : {1, 2, 3}) {
    for (int64_t count : {16, 128}) {
      std::vector<Point> points = points_of(space, count, seed);
      for (size_t i = 0; i < space.size(); ++i) {
        std::set<int64_t> slices;
        for (const Point& x : points) {
          slices.insert(static_cast<int64_t>(x[i] * static_cast<double>(count)));
        }
        EXPECT_EQ(slices.size(), static_cast<size_t>(count)) << "parameter " << i << " seed " << seed;
      }
    }
    std::set<std::pair<int, int>> boxes;
    for (const Point& x : points_of(space, 64, seed)) {
      boxes.emplace(static_cast<int>(x[0] * 8), static_cast<int>(x[1] * 8));
    }
    EXPECT_EQ(boxes.size(), 64) << "seed " << seed;
  }
}

TEST(Sobol, IsTheSameFromAnyPlace) {
  Space space = toy_space(cube(5, 0, 1));
  std::vector<Point> points = points_of(space, 40);
  SweepConfig config;
  config.sweep.sampler = "sobol";
  std::unique_ptr<Sampler> sampler = make_sampler(config, space);
  History empty;
  for (int64_t number : {39, 3, 3, 0, 20, 19}) {
    EXPECT_EQ(sampler->suggest(empty, number)->point, points[static_cast<size_t>(number)]) << number;
  }
}

// The mean of a smooth function over n points is nearer to its integral than that of random ones.
TEST(Sobol, IntegratesBetterThanRandom) {
  Space space = toy_space(cube(4, 0, 1));
  auto error = [&](const char* name, int64_t seed) {
    double sum = 0;
    for (const Point& x : points_of(space, 256, seed, name)) {
      sum += std::sin(x[0] * M_PI) * x[1] * std::exp(x[2]) * (1 + x[3]);
    }
    return std::abs(sum / 256 - 2 / M_PI * 0.5 * (M_E - 1) * 1.5);
  };
  double sobol = 0, random = 0;
  for (int64_t seed = 1; seed <= 10; ++seed) {
    sobol += error("sobol", seed);
    random += error("random", seed);
  }
  EXPECT_LT(sobol, 0.2 * random);
}

TEST(Sobol, KeepsConstraintsAndConditions) {
  Space space = toy_space(
      {choice_parameter("method", {"\"sgd\"", "\"adam\""}),
       only_when(real_parameter("momentum", 0, 1), "method == \"sgd\""), real_parameter("rate", 0, 1)},
      {"rate <= 0.25"});
  int with_momentum = 0;
  for (const Point& x : points_of(space, 64)) {
    EXPECT_LE(x[2], 0.25);
    EXPECT_EQ(std::isnan(x[1]), x[0] == 1);
    with_momentum += x[0] == 0;
  }
  EXPECT_NEAR(with_momentum, 32, 6);
}

TEST(Sobol, VisitsAllOfASmallSpaceBeforeItRepeats) {
  Space space = toy_space({integer_parameter("a", 1, 5), choice_parameter("b", {"1", "2", "3"})});
  std::set<Point> first;
  std::vector<Point> points = points_of(space, 20);
  for (size_t i = 0; i < 15; ++i) first.insert(points[i]);
  EXPECT_EQ(first.size(), 15);
}

TEST(Sobol, SaysWhenConstraintsLeaveNothing) {
  Space space = toy_space({real_parameter("a", 0, 1)}, {"a > 2"});
  test::expect_error(ExitCode::bad_config, {"sweep.constraints"}, [&] { points_of(space, 1); });
}

TEST(Sobol, RefusesMoreDimensionsThanItKnows) {
  Space space = toy_space(cube(3668, 0, 1));
  test::expect_error(ExitCode::bad_config, {"sobol", "3667", "3668"}, [&] { points_of(space, 1); });
}

}  // namespace
}  // namespace trireme
