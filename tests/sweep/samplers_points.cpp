// What samplers ask about points and trials.
#include "sweep/samplers/points.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <vector>

#include "sweep/support.h"

namespace trireme {
namespace {

std::vector<int64_t> ranks_of(const std::vector<std::vector<double>>& scores) {
  std::vector<Trial> trials(scores.size());
  std::vector<const Trial*> pointers;
  for (size_t i = 0; i < scores.size(); ++i) {
    trials[i].scores = scores[i];
    pointers.push_back(&trials[i]);
  }
  return front_ranks(pointers);
}

TEST(FrontRanks, PutFailuresLastAndEqualsTogether) {
  using Ranks = std::vector<int64_t>;
  EXPECT_EQ(ranks_of({{3}, {1}, {}, {2}, {1}}), (Ranks{2, 0, 3, 1, 0}));
  EXPECT_EQ(ranks_of({{0, 3}, {1, 1}, {3, 0}, {1, 3}, {2, 2}, {}, {3, 3}}), (Ranks{0, 0, 0, 1, 1, 3, 2}));
  EXPECT_EQ(ranks_of({{}, {}}), (Ranks{0, 0}));
}

TEST(FrontRanks, PutTrialsThatFailedAfterTheirReportsLast) {
  std::vector<Trial> trials(4);
  for (size_t i = 0; i < trials.size(); ++i) trials[i].scores = {static_cast<double>(i)};
  trials[0].state = TrialState::failed;
  trials[1].scores = {-std::numeric_limits<double>::infinity()};
  EXPECT_FALSE(has_result(trials[0]));
  EXPECT_FALSE(has_result(trials[1]));
  EXPECT_TRUE(has_result(trials[2]));
  EXPECT_EQ(front_ranks({&trials[0], &trials[1], &trials[2], &trials[3]}),
            (std::vector<int64_t>{2, 2, 0, 1}));
}

TEST(EndedTrials, ComeInTheOrderOfTheirEnds) {
  TestFunction function = branin();
  SweepStory story(function.space);
  for (int i = 0; i < 5; ++i) story.run({static_cast<double>(i), 0});
  story.report(3, 1, {1});
  story.end(3, "paused");
  story.end(1, "failed");
  story.begin(3, true);
  story.finish(0, {2});
  story.end(2, "interrupted");
  EXPECT_EQ(ended_trials(story.history()), (std::vector<int64_t>{3, 1, 0}));
}

TEST(UntriedPoint, KeepsToWhatIsLeftAndRepeatsOnlyWhenNothingIs) {
  Space space = toy_space({integer_parameter("a", 0, 9), integer_parameter("b", 0, 1)}, {"a + b <= 9"});
  SweepStory story(space);
  RandomStream random(1, Purpose::test);
  std::set<Point> seen;
  for (int i = 0; i < 19; ++i) {
    Point point = untried_random_point(space, story.history(), random);
    EXPECT_TRUE(seen.insert(point).second) << "the point " << i;
    EXPECT_TRUE(space.allows(point));
    EXPECT_FALSE(is_tried(story.history(), point));
    story.run(point);
    EXPECT_TRUE(is_tried(story.history(), point));
  }
  EXPECT_TRUE(seen.contains(untried_random_point(space, story.history(), random)));
}

TEST(UntriedPoint, PrefersWhatIsMade) {
  Space space = toy_space({integer_parameter("a", 0, 99)}, {"a != 7"});
  SweepStory story(space);
  story.run({5});
  RandomStream random(1, Purpose::test);
  double next = 5;  // tried, 6 is not; 7 is not allowed
  EXPECT_EQ(untried_point(space, story.history(), random, 9, [&] { return Point{next++}; }), Point{6});
  next = 7;
  EXPECT_EQ(untried_point(space, story.history(), random, 9, [&] { return Point{next++}; }), Point{8});
  Point drawn = untried_point(space, story.history(), random, 9, [] { return Point{5}; });
  EXPECT_NE(drawn, Point{5});
  EXPECT_NE(drawn, Point{7});
}

}  // namespace
}  // namespace trireme
