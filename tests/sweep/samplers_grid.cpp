// Grid search: all combinations, each once, and an end.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "support/expect_error.h"
#include "sweep/support.h"

namespace trireme {
namespace {

SweepConfig grid_config(int64_t points) {
  SweepConfig config;
  config.sweep.sampler = "grid";
  config.objectives.resize(1);
  config.grid.points = points;
  return config;
}

std::vector<Point> all_points(const Space& space, int64_t points) {
  std::unique_ptr<Sampler> sampler = make_sampler(grid_config(points), space);
  std::vector<Point> all;
  History empty;
  while (std::optional<Suggestion> one = sampler->suggest(empty, static_cast<int64_t>(all.size()))) {
    all.push_back(one->point);
  }
  return all;
}

void expect_all_differ(const std::vector<Point>& points) {
  for (size_t i = 0; i < points.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_FALSE(same_point(points[i], points[j])) << i << " and " << j;
  }
}

TEST(Grid, CountsLikeADial) {
  Space space = toy_space({integer_parameter("a", 1, 2), choice_parameter("b", {"true", "false"})});
  EXPECT_EQ(all_points(space, 5), (std::vector<Point>{{1, 0}, {1, 1}, {2, 0}, {2, 1}}));
}

TEST(Grid, TakesEndsAndEvenSteps) {
  EXPECT_EQ(all_points(toy_space({real_parameter("a", -2, 2)}), 5),
            (std::vector<Point>{{-2}, {-1}, {0}, {1}, {2}}));
  std::vector<Point> rates = all_points(toy_space({real_parameter("a", 1e-4, 1, true)}), 5);
  ASSERT_EQ(rates.size(), 5);
  for (size_t k = 0; k < 5; ++k) EXPECT_NEAR(std::log10(rates[k][0]), static_cast<double>(k) - 4, 1e-9);
  EXPECT_EQ(all_points(toy_space({real_parameter("a", 0, 2)}), 1), (std::vector<Point>{{1}}));
  EXPECT_EQ(all_points(toy_space({integer_parameter("a", 0, 100)}), 2), (std::vector<Point>{{0}, {100}}));
}

TEST(Grid, TakesEveryValueOfFew) {
  Parameter steps = real_parameter("a", 0, 1);
  steps.step = 0.25;
  EXPECT_EQ(all_points(toy_space({steps}), 5), (std::vector<Point>{{0}, {0.25}, {0.5}, {0.75}, {1}}));
  // On a logarithmic scale evenly spaced places give the same small integer more than once.
  std::vector<Point> widths = all_points(toy_space({integer_parameter("a", 1, 64, true)}), 20);
  expect_all_differ(widths);
  EXPECT_EQ(widths.front(), Point{1});
  EXPECT_EQ(widths.back(), Point{64});
}

TEST(Grid, DoublesNothingOverConditions) {
  TestFunction function = conditional_toy();
  std::vector<Point> points = all_points(function.space, 6);
  expect_all_differ(points);
  EXPECT_EQ(points.size(), 6 + 6 * 6 + 1);  // sgd by momentum, adam by rate and depth, none
  for (Point point : points) {
    Point settled = point;
    function.space.settle(settled);
    EXPECT_TRUE(same_point(point, settled));
  }
}

TEST(Grid, LeavesOutWhatConstraintsForbid) {
  Space space = toy_space({integer_parameter("a", 1, 5), integer_parameter("b", 1, 5)}, {"a + b >= 7"});
  std::vector<Point> points = all_points(space, 5);
  EXPECT_EQ(points, (std::vector<Point>{
                        {2, 5}, {3, 4}, {3, 5}, {4, 3}, {4, 4}, {4, 5}, {5, 2}, {5, 3}, {5, 4}, {5, 5}}));
  EXPECT_TRUE(all_points(toy_space({integer_parameter("a", 1, 5)}, {"a > 9"}), 5).empty());
}

TEST(Grid, AnswersInAnyOrder) {
  TestFunction function = conditional_toy();
  std::vector<Point> points = all_points(function.space, 3);
  std::unique_ptr<Sampler> sampler = make_sampler(grid_config(3), function.space);
  auto count = static_cast<int64_t>(points.size());
  History empty;
  for (int64_t number : {count - 1, int64_t{2}, count, count - 1, int64_t{0}, int64_t{3}, int64_t{3}}) {
    std::optional<Suggestion> one = sampler->suggest(empty, number);
    ASSERT_EQ(one.has_value(), number < count) << number;
    if (!one) continue;
    EXPECT_TRUE(same_point(one->point, points[static_cast<size_t>(number)])) << number;
  }
}

TEST(Grid, ComesToItsEndInASweep) {
  Space space = toy_space({integer_parameter("a", 1, 3), integer_parameter("b", 1, 3)});
  std::unique_ptr<Sampler> sampler = make_sampler(grid_config(3), space);
  SweepStory story = sweep_function(
      *sampler, space, [](const Point& x) { return x[0]; }, 100, 4);
  EXPECT_EQ(story.history().trials().size(), 9);
}

TEST(Grid, RefusesMoreThanAnybodyTries) {
  Space space = toy_space(cube(10, 0, 1));
  test::expect_error(ExitCode::bad_config, {"sweep.grid.points", "1.0e+10", "sobol"},
                     [&] { make_sampler(grid_config(10), space); });
}

}  // namespace
}  // namespace trireme
