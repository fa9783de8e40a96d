// The forest's boxes and variances are exact, importances are those of functions whose shares are known, and
// they are the same for any number of ranks.
#include "sweep/importance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

#include "comm/thread_ranks.h"
#include "sweep/forest.h"
#include "sweep/support.h"

namespace trireme {
namespace {

// Random points of a space, each worth value(point).
template <class Value>
SweepStory story_of(const Space& space, int trials, Value&& value) {
  SweepStory story(space);
  RandomStream random(7, Purpose::test);
  for (int i = 0; i < trials; ++i) {
    Point point = space.draw(random);
    story.finished(point, {value(point)});
  }
  return story;
}

std::vector<Importance> importances(const Space& space, const History& history,
                                    ImportanceOptions options = {}) {
  auto alone = make_self_communicator();
  return importance_of(space, history, options, *alone);
}

std::map<std::string, double> shares(const Space& space, const History& history) {
  std::map<std::string, double> by_name;
  for (const Importance& one : importances(space, history)) by_name[one.name] = one.share;
  return by_name;
}

ForestData random_data(std::vector<ForestInput> inputs, size_t rows) {
  ForestData data;
  data.inputs = std::move(inputs);
  RandomStream random(3, Purpose::test);
  for (size_t row = 0; row < rows; ++row) {
    double target = 0;
    for (const ForestInput& input : data.inputs) {
      double value = random.uniform();
      if (input.categories > 0) value = random.below(static_cast<uint32_t>(input.categories));
      if (!input.ends.empty()) {
        size_t cell = random.below(static_cast<uint32_t>(input.ends.size() - 1));
        value = (input.ends[cell] + input.ends[cell + 1]) / 2;
      }
      data.values.push_back(value);
      target = std::sin(5 * target + 3 * value);
    }
    data.targets.push_back(target);
  }
  return data;
}

TEST(Forest, LeavesPartTheWholeBox) {
  const std::vector<double> ends{0, 0.5, 0.625, 0.75, 1};
  ForestData data = random_data({{}, {.categories = 5}, {.ends = ends}}, 150);
  RandomStream random(1, Purpose::sweep, 4);
  std::vector<TreeLeaf> leaves = grow_tree(data, {}, random);
  ASSERT_GT(leaves.size(), 10u);
  double volume = 0;
  for (const TreeLeaf& leaf : leaves) {
    volume += leaf.volume();
    EXPECT_EQ(std::count(ends.begin(), ends.end(), leaf.box[2].low), 1) << leaf.box[2].low;
  }
  EXPECT_NEAR(volume, 1, 1e-12);
  for (size_t row = 0; row < data.rows(); ++row) {
    std::vector<double> point{data.value(row, 0), data.value(row, 1), data.value(row, 2)};
    EXPECT_FALSE(std::isnan(value_at(leaves, point)));
  }
  EXPECT_TRUE(std::isnan(value_at(leaves, std::vector<double>{1.5, 0, 0.125})));
}

TEST(Forest, FitsWhatItHasSeen) {
  ForestData data = random_data({{}, {.categories = 5}}, 400);
  RandomStream random(1, Purpose::sweep);
  std::vector<TreeLeaf> leaves = grow_tree(data, {.min_leaf = 1}, random);
  double off = 0, whole = 0;
  for (size_t row = 0; row < data.rows(); ++row) {
    double error =
        value_at(leaves, std::vector<double>{data.value(row, 0), data.value(row, 1)}) - data.targets[row];
    off += error * error;
    whole += data.targets[row] * data.targets[row];
  }
  EXPECT_LT(off, 0.02 * whole);
}

// Of two inputs the singles and the pair are all that there is.
TEST(Forest, VarianceIsSharedWithoutARest) {
  for (const ForestInput& second :
       {ForestInput{}, ForestInput{.categories = 7}, ForestInput{.ends = {0, 0.2, 0.5, 1}}}) {
    ForestData data = random_data({{}, second}, 120);
    RandomStream random(1, Purpose::sweep, 9);
    TreeVariance variance = variance_of(data.inputs, grow_tree(data, {}, random), true);
    ASSERT_EQ(variance.pairs.size(), 1u);
    EXPECT_GT(variance.pairs[0], 0);
    EXPECT_NEAR(variance.singles[0] + variance.singles[1] + variance.pairs[0], variance.total,
                1e-12 * variance.total);
  }
}

// Three inputs by hand: 8 where x < 1/4 and the category is 0 or 2 of 4, else 0; the third is in no split.
TEST(Forest, VarianceOfATreeByHand) {
  BoxSide all, low, high;
  low.high = high.low = 0.25;
  BoxSide in{.categories = {1, 0, 1, 0}}, out{.categories = {0, 1, 0, 1}}, any{.categories = {1, 1, 1, 1}};
  std::vector<TreeLeaf> leaves{{{low, in, all}, 8}, {{low, out, all}, 0}, {{high, any, all}, 0}};
  TreeVariance variance = variance_of({{}, {.categories = 4}, {}}, leaves, true);
  // mean 1; over x: 4 or 0; over the category: 2 or 0.
  EXPECT_DOUBLE_EQ(variance.total, 0.125 * 49 + 0.875);
  EXPECT_DOUBLE_EQ(variance.singles[0], 0.25 * 9 + 0.75);
  EXPECT_DOUBLE_EQ(variance.singles[1], 1);
  EXPECT_DOUBLE_EQ(variance.singles[2], 0);
  EXPECT_DOUBLE_EQ(variance.pairs[0], 7 - 3 - 1);  // (0, 1)
  EXPECT_DOUBLE_EQ(variance.pairs[1], 0);
  EXPECT_DOUBLE_EQ(variance.pairs[2], 0);
}

// a x + b y + c x y over the unit square: the singles have (a + c/2)^2 / 12 and (b + c/2)^2 / 12, the pair
// c^2 / 144; `noise` is in the space and not in the function.
TEST(Importance, OfAFunctionWithKnownShares) {
  std::vector<Parameter> parameters = cube(2, 0, 1);
  parameters.push_back(real_parameter("noise", 1e-4, 1, true));
  Space space = toy_space(std::move(parameters));
  double a = 1, b = 1, c = -3;
  SweepStory story =
      story_of(space, 400, [&](const Point& x) { return a * x[0] + b * x[1] + c * x[0] * x[1]; });
  double first = (a + c / 2) * (a + c / 2) / 12, second = (b + c / 2) * (b + c / 2) / 12, both = c * c / 144;
  double total = first + second + both;
  auto share = shares(space, story.history());
  EXPECT_NEAR(share.at("x0"), first / total, 0.08);
  EXPECT_NEAR(share.at("x1"), second / total, 0.08);
  EXPECT_NEAR(share.at("x0 x x1"), both / total, 0.1);
  EXPECT_LT(share.at("noise"), 0.02);
  EXPECT_LT(share.at("x0 x noise"), 0.04);
}

TEST(Importance, OfChoicesAndIntegers) {
  Space space = toy_space({choice_parameter("kind", {"\"a\"", "\"b\"", "\"c\""}),
                           integer_parameter("n", 1, 4), real_parameter("noise", 0, 1)});
  // Variances: of {0, 3, 0}: 2; of {1, 2, 3, 4}: 1.25.
  SweepStory story = story_of(space, 300, [](const Point& x) { return (x[0] == 1 ? 3.0 : 0.0) + x[1]; });
  auto found = importances(space, story.history());
  ASSERT_EQ(found.size(), 6u);
  EXPECT_EQ(found[0].name, "kind");
  EXPECT_NEAR(found[0].share, 2 / 3.25, 0.05);
  EXPECT_EQ(found[1].name, "n");
  EXPECT_NEAR(found[1].share, 1.25 / 3.25, 0.05);
  EXPECT_EQ(found[2].name, "noise");
  EXPECT_LT(found[2].share, 0.01);
  EXPECT_GT(found[0].deviation, 0);
  for (size_t i = 3; i < 6; ++i) EXPECT_LT(found[i].share, 0.03) << found[i].name;
}

// Which branch is taken decides; what is active in the one branch alone changes nothing, and must not get the
// credit for being there.
TEST(Importance, OfAConditionThatAloneMatters) {
  Space space = toy_space({choice_parameter("kind", {"\"a\"", "\"b\""}),
                           only_when(real_parameter("depth", 0, 1), "kind == \"a\""),
                           only_when(choice_parameter("mode", {"1", "2", "3"}), "kind == \"a\"")});
  SweepStory story = story_of(space, 200, [](const Point& x) { return x[0]; });
  auto share = shares(space, story.history());
  EXPECT_GT(share.at("kind"), 0.97);
  EXPECT_LT(share.at("depth"), 0.01);
  EXPECT_LT(share.at("mode"), 0.01);
}

TEST(Importance, IsNotThatOfOneTrialThatDiverged) {
  Space space = toy_space(cube(2, 0, 1));
  SweepStory story = story_of(space, 100, [](const Point& x) { return x[0]; });
  story.finished({0.5, 0.999}, {1e12});
  story.failed({0.1, 0.1});
  auto share = shares(space, story.history());
  EXPECT_GT(share.at("x0"), 0.5);
}

TEST(Importance, IsTheSameForAnyNumberOfRanks) {
  TestFunction function = conditional_toy();
  SweepStory story = story_of(function.space, 80, function.value);
  std::vector<Importance> alone = importances(function.space, story.history());
  ASSERT_EQ(alone.size(), 4u + 6u);
  for (int ranks : {1, 2, 3, 4}) {
    std::mutex mutex;
    run_ranks(ranks, [&](Communicator& communicator) {
      auto found = importance_of(function.space, story.history(), {}, communicator);
      std::lock_guard lock(mutex);
      ASSERT_EQ(found.size(), alone.size());
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].name, alone[i].name);
        EXPECT_EQ(found[i].share, alone[i].share) << found[i].name << " on " << ranks << " ranks";
        EXPECT_EQ(found[i].deviation, alone[i].deviation);
      }
    });
  }
  // The seed is what changes it.
  EXPECT_NE(importances(function.space, story.history(), {.seed = 2})[0].share, alone[0].share);
}

TEST(Importance, NeedsFourTrialsThatDiffer) {
  Space space = toy_space(cube(2, 0, 1));
  EXPECT_TRUE(importances(space, story_of(space, 3, [](const Point& x) { return x[0]; }).history()).empty());
  EXPECT_TRUE(importances(space, SweepStory(space).history()).empty());
  for (const Importance& one :
       importances(space, story_of(space, 20, [](const Point&) { return 1.0; }).history())) {
    EXPECT_EQ(one.share, 0);
    EXPECT_EQ(one.deviation, 0);
  }
}

TEST(Importance, OfTheObjectiveThatIsAskedFor) {
  Space space = toy_space(cube(2, 0, 1));
  SweepStory story(space);
  RandomStream random(7, Purpose::test);
  for (int i = 0; i < 100; ++i) {
    Point point = space.draw(random);
    story.finished(point, {point[0], point[1]});
  }
  EXPECT_EQ(importances(space, story.history(), {.objective = 0})[0].name, "x0");
  EXPECT_EQ(importances(space, story.history(), {.objective = 1, .pairs = false})[0].name, "x1");
  EXPECT_EQ(importances(space, story.history(), {.objective = 1, .pairs = false}).size(), 2u);
}

}  // namespace
}  // namespace trireme
