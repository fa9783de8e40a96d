// Spaces: scales, conditions, constraints, and the way to TOML and back.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "sweep/space.h"

namespace trireme {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Parameter real(const std::string& key, double low, double high, bool logarithmic = false, double step = 0) {
  return {key, ParameterKind::real, low, high, logarithmic, step, {}, {}, "s.toml:1:1"};
}
Parameter integer(const std::string& key, double low, double high, bool logarithmic = false,
                  double step = 0) {
  return {key, ParameterKind::integer, low, high, logarithmic, step, {}, {}, "s.toml:2:1"};
}
Parameter choice(const std::string& key, std::vector<std::string> choices) {
  return {key, ParameterKind::choice, 0, 0, false, 0, std::move(choices), {}, "s.toml:3:1"};
}
Parameter when(Parameter parameter, const std::string& condition) {
  parameter.when.emplace(condition, parameter.origin);
  return parameter;
}

Space space_of(std::vector<Parameter> parameters, const std::vector<std::string>& constraints = {}) {
  std::vector<Formula> formulas;
  for (const std::string& text : constraints) formulas.emplace_back(text, "s.toml:9:1");
  return Space(std::move(parameters), formulas, Config{}, {{"sweep.ranks_per_trial", 2.0}});
}

Space optimizers() {
  return space_of(
      {when(real("optimizer.momentum", 0, 0.99), "optimizer.kind == 'sgd'"),
       choice("optimizer.kind", {"\"sgd\"", "\"adam\""}), real("optimizer.learning_rate", 1e-4, 1, true),
       when(choice("optimizer.nesterov", {"false", "true"}), "optimizer.momentum > 0.5"),
       integer("data.batch", 16, 256, true), integer("train.micro_batches", 1, 4)},
      {"data.batch * train.micro_batches <= 512", "optimizer.momentum * data.batch < 200"});
}

TEST(Parameter, CountsWhatItCanTake) {
  EXPECT_EQ(real("a", 0, 1).count(), 0);
  EXPECT_EQ(real("a", 0, 1, false, 0.1).count(), 11);
  EXPECT_EQ(real("a", 0, 0.95, false, 0.1).count(), 10);
  EXPECT_EQ(integer("a", 3, 7).count(), 5);
  EXPECT_EQ(integer("a", 32, 500, false, 32).count(), 15);
  EXPECT_EQ(integer("a", 5, 5).count(), 1);
  EXPECT_EQ(choice("a", {"1", "2", "3"}).count(), 3);
}

TEST(Space, UnitAndBack) {
  Space space = space_of({real("a", -2, 6), real("b", 1e-4, 1, true), real("c", 0, 1, false, 0.1),
                          integer("d", 1, 1000, true), integer("e", -3, 3), choice("f", {"1", "2", "3"}),
                          real("g", 0.25, 0.25), real("h", 0.5, 8, true, 0.5), integer("i", 7, 7, true)});
  EXPECT_DOUBLE_EQ(space.from_unit(0, 0.25), 0);
  EXPECT_DOUBLE_EQ(space.from_unit(1, 0.5), 1e-2);
  EXPECT_EQ(space.from_unit(2, 0.31), 0.3) << "not 0.30000000000000004";
  EXPECT_EQ(space.from_unit(5, 0.34), 1);
  EXPECT_DOUBLE_EQ(space.to_unit(5, 1), 0.5);
  EXPECT_DOUBLE_EQ(space.to_unit(2, 0), 0.5 / 11);
  for (size_t i = 0; i < space.size(); ++i) {
    SCOPED_TRACE(space[i].key);
    EXPECT_EQ(space.from_unit(i, -7), space.from_unit(i, 0));
    EXPECT_EQ(space.from_unit(i, 7), space.from_unit(i, 1));
    EXPECT_EQ(space.from_unit(i, std::nan("")), space.from_unit(i, 0.5));
    EXPECT_EQ(space.from_unit(i, 0), space[i].low);
    EXPECT_EQ(space.from_unit(i, 1), space[i].high);
    double last = -1e9;
    for (int k = 0; k <= 1000; ++k) {
      double value = space.from_unit(i, k / 1000.0);
      EXPECT_GE(value, last);
      EXPECT_GE(value, space[i].low);
      EXPECT_LE(value, space[i].high);
      double again = space.from_unit(i, space.to_unit(i, value));
      if (space[i].count() > 0) {
        EXPECT_EQ(again, value);
      }
      EXPECT_NEAR(again, value, 1e-9 * std::abs(value) + 1e-12);
      last = value;
    }
  }
  EXPECT_TRUE(std::isnan(space.to_unit(0, std::nan(""))));
}

TEST(Space, ALogarithmicIntegerIsDrawnLogUniformly) {
  Space space = space_of({integer("data.batch", 1, 1024, true)});
  std::map<int, int> octave;
  constexpr int draws = 20000;
  for (int k = 0; k < draws; ++k)
    ++octave[static_cast<int>(std::log2(space.from_unit(0, (k + 0.5) / draws)))];
  // 2^0 reaches down to 0.5; the others each have the same share, to the rounding at their edges.
  for (int power = 2; power < 10; ++power)
    EXPECT_NEAR(octave[power], draws / 11.0, 0.2 * draws / 11) << power;
}

TEST(Space, OrdersConditionsAndKeepsTheRest) {
  Space space = optimizers();
  std::vector<std::string> keys;
  for (const Parameter& one : space.parameters()) keys.push_back(one.key);
  EXPECT_THAT(keys, ElementsAre("optimizer.kind", "optimizer.momentum", "optimizer.learning_rate",
                                "optimizer.nesterov", "data.batch", "train.micro_batches"));
  EXPECT_EQ(space.find("data.batch"), 4u);
  EXPECT_EQ(space.find("data.batches"), std::nullopt);
}

TEST(Space, DrawsWhatIsActiveAndAllowed) {
  Space space = optimizers();
  int sgd = 0, nesterov = 0;
  for (uint64_t i = 0; i < 2000; ++i) {
    RandomStream random(7, Purpose::sweep, i);
    Point point = space.draw(random);
    RandomStream same(7, Purpose::sweep, i);
    EXPECT_TRUE(same_point(point, space.draw(same)));
    EXPECT_TRUE(space.allows(point));
    EXPECT_EQ(std::isnan(point[1]), point[0] == 1) << "momentum is sgd's";
    EXPECT_EQ(std::isnan(point[3]), !(point[1] > 0.5)) << "nesterov is that of a momentum above 0.5";
    EXPECT_LE(point[4] * point[5], 512);
    EXPECT_FALSE(point[1] * point[4] >= 200);
    Point settled = point;
    space.settle(settled);
    EXPECT_TRUE(same_point(settled, point));
    sgd += point[0] == 0;
    nesterov += !std::isnan(point[3]);
  }
  EXPECT_NEAR(sgd, 1000, 120);
  EXPECT_GT(nesterov, 300);
}

TEST(Space, SettlesWhatCannotBe) {
  Space space = optimizers();
  Point point{0, std::nan(""), 7, 1, 300.4, 1.6};
  space.settle(point);
  EXPECT_EQ(point[0], 0);
  EXPECT_DOUBLE_EQ(point[1], 0.495) << "the middle of the range";
  EXPECT_EQ(point[2], 1);
  EXPECT_TRUE(std::isnan(point[3])) << "not active: momentum is not above 0.5";
  EXPECT_EQ(point[4], 256);
  EXPECT_EQ(point[5], 2);
  point[0] = 1;
  space.settle(point);
  EXPECT_TRUE(std::isnan(point[1]));
}

TEST(Space, AConstraintOfWhatIsNotActiveDoesNotBind) {
  Space space = optimizers();
  EXPECT_FALSE(space.allows({0, 0.9, 0.1, 0, 256, 1}));  // 0.9 * 256 >= 200
  EXPECT_TRUE(space.allows({1, std::nan(""), 0.1, std::nan(""), 256, 1}));
  EXPECT_FALSE(space.allows({1, std::nan(""), 0.1, std::nan(""), 256, 3}));
}

TEST(Space, GivesLiteralsAndTakesThemBack) {
  Space space = optimizers();
  Point point{0, 0.75, 1e-3, 1, 64, 2};
  EXPECT_THAT(
      space.assignments(point),
      ElementsAre("optimizer.kind=\"sgd\"", "optimizer.momentum=0.75", "optimizer.learning_rate=0.001",
                  "optimizer.nesterov=true", "data.batch=64", "train.micro_batches=2"));
  EXPECT_EQ(space.literal(2, 1), "1.0");
  for (uint64_t i = 0; i < 100; ++i) {
    RandomStream random(3, Purpose::sweep, i);
    point = space.draw(random);
    std::vector<std::pair<std::string, std::string>> literals;
    for (size_t k = 0; k < space.size(); ++k) {
      if (!std::isnan(point[k])) literals.emplace_back(space[k].key, space.literal(k, point[k]));
    }
    std::optional<Point> back = space.point_of(literals);
    ASSERT_TRUE(back);
    EXPECT_TRUE(same_point(*back, point)) << "to the bit";
    literals.pop_back();
    EXPECT_EQ(space.point_of(literals), std::nullopt) << "one is missing";
  }
  std::vector<std::pair<std::string, std::string>> good{{"optimizer.kind", "\"adam\""},
                                                        {"optimizer.learning_rate", "0.5"},
                                                        {"data.batch", "17"},
                                                        {"train.micro_batches", "1"}};
  ASSERT_TRUE(space.point_of(good));
  for (auto [i, literal] : std::vector<std::pair<size_t, std::string>>{
           {0, "\"lamb\""}, {1, "2"}, {1, "\"x\""}, {1, "]"}, {2, "17.5"}, {2, "257"}, {3, "0"}}) {
    auto bad = good;
    bad[i].second = literal;
    EXPECT_EQ(space.point_of(bad), std::nullopt) << literal;
  }
  good.emplace_back("run.seed", "1");
  EXPECT_EQ(space.point_of(good), std::nullopt);
}

TEST(Space, FormulasSeeTheBaseConfigAndTheSweepsKeys) {
  Space space = space_of(
      {when(integer("data.batch", 1, 8), "model.kind == 'mlp' and sweep.ranks_per_trial == 2"),
       when(integer("run.seed", 1, 8), "train.epochs > 1"), choice("model.hidden", {"[64]", "[ 128,64 ]"})},
      {"model.hidden == '[128, 64]'", "data.batch % sweep.ranks_per_trial == 0"});
  RandomStream random(1, Purpose::sweep);
  Point point = space.draw(random);
  EXPECT_EQ(static_cast<int>(point[0]) % 2, 0);
  EXPECT_TRUE(std::isnan(point[1])) << "train.epochs is 1";
  EXPECT_EQ(point[2], 1);
}

struct BadSpace {
  std::vector<Parameter> parameters;
  std::vector<std::string> constraints;
  std::string begin, part;
};

TEST(Space, RefusesWhatCannotBe) {
  for (const BadSpace& bad : std::vector<BadSpace>{
           {{}, {}, "", "[space] is empty"},
           {{real("a", 2, 1)}, {}, "s.toml:1:1: a: ", "the range [2, 1] is empty"},
           {{real("a", 0, 1, true)}, {}, "s.toml:1:1: a: ", "begins above 0, not at 0"},
           {{real("a", 0, INFINITY)}, {}, "s.toml:1:1: a: ", "not finite"},
           {{real("a", 0, 1, false, -1)}, {}, "s.toml:1:1: a: ", "a step is above 0"},
           {{real("a", 0, 1, false, 1e-300)}, {}, "s.toml:1:1: a: ", "more than 1e15"},
           {{integer("a", 0.5, 3)}, {}, "s.toml:2:1: a: ", "whole"},
           {{choice("a", {})}, {}, "s.toml:3:1: a: ", "no choices"},
           {{real("a", 0, 1), real("a", 0, 2)}, {}, "s.toml:1:1: a ", "twice"},
           {{when(real("a", 0, 1), "b > 0"), when(real("b", 0, 1), "a > 0")},
            {},
            "s.toml:1:1: ",
            "a, b go in a circle"},
           {{when(real("a", 0, 1), "a > 0")}, {}, "s.toml:1:1: ", "circle"},
           {{when(real("a", 0, 1), "optimizer.kin == 'sgd'")},
            {},
            "s.toml:1:1: ",
            "did you mean optimizer.kind?"},
           {{real("a", 0, 1)}, {"a < sgd"}, "s.toml:9:1: ", "there is no key sgd; put texts in quotes"},
           {{real("a", 0, 1)}, {"a < 'sgd'"}, "s.toml:9:1: ", "not with the text"},
           {{real("a", 0, 1)}, {"a * 2"}, "s.toml:9:1: ", "neither true nor false"},
           {{choice("a", {"1", "2", "\"auto\""})}, {"a > 1"}, "s.toml:9:1: ", "not with the text \"auto\""},
           {{real("a", 0, 1)}, {"true or train.device > 3"}, "s.toml:9:1: ", "not with the text \"auto\""},
       }) {
    try {
      space_of(bad.parameters, bad.constraints);
      ADD_FAILURE() << bad.part << ": was accepted";
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), StartsWith(bad.begin));
      EXPECT_THAT(error.what(), HasSubstr(bad.part));
    }
  }
}

TEST(Space, SaysWhichConstraintsCannotBeKept) {
  Space space = space_of({real("a", 0, 1)}, {"a > 2", "a < 3"});
  RandomStream random(1, Purpose::sweep);
  try {
    space.draw(random);
    FAIL() << "drew a point that there is not";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(),
                StartsWith("s.toml:9:1: none of 10000 random points keeps the constraints `a > 2`, `a < 3`"));
  }
}

}  // namespace
}  // namespace trireme
