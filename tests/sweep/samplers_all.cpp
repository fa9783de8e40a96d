// What every sampler of the registry holds to, over histories as untidy as they come.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "support/expect_error.h"
#include "sweep/support.h"

namespace trireme {
namespace {

SweepConfig config_of(std::string_view sampler, int64_t seed = 1, size_t objectives = 1) {
  SweepConfig config;
  config.sweep.sampler = sampler;
  config.sweep.seed = seed;
  config.objectives.resize(objectives);
  return config;
}

// Real, logarithmic, whole and chosen parameters, some only for some methods, with a constraint.
TestFunction mixed() {
  auto value = [](const Point& x) {
    double method = std::isnan(x[2]) ? 0.5 : std::abs(x[2] - 0.25);
    return std::abs(std::log10(x[0]) + 2) + 0.1 * std::abs(x[1] - 7) + method + 0.2 * x[4];
  };
  return {"mixed",
          toy_space({real_parameter("rate", 1e-4, 1, true), integer_parameter("batch", 1, 12),
                     only_when(real_parameter("momentum", 0, 1), "method == \"sgd\""),
                     choice_parameter("method", {"\"sgd\"", "\"adam\""}), integer_parameter("depth", 0, 3)},
                    {"batch * (depth + 1) <= 30"}),
          value, 0};
}

// A sweep in which trials fail, pause, go on with other scores than before, and are interrupted by restarts.
SweepStory untidy_sweep(Sampler& sampler, const TestFunction& function, int64_t trials, uint64_t seed) {
  SweepStory story(function.space);
  RandomStream random(seed, Purpose::test, 5);
  std::vector<int64_t> running, paused;
  auto take = [&](std::vector<int64_t>& list) {
    size_t which = random.below(static_cast<uint32_t>(list.size()));
    int64_t trial = list[which];
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(which));
    return trial;
  };
  for (int64_t next = 0; next < trials;) {
    if (running.size() < 8) {
      if (!paused.empty() && random.below(2) == 0) {
        running.push_back(take(paused));
        story.begin(running.back(), true);
        continue;
      }
      std::optional<Suggestion> suggestion = sampler.suggest(story.history(), next++);
      if (!suggestion) return story;
      running.push_back(story.run(suggestion->point, suggestion->parent));
      continue;
    }
    int64_t trial = take(running);
    const Trial& now = story.history().trial(trial);
    uint32_t dice = random.below(8);
    if (dice == 0) {
      story.end(trial, "failed", "nan");
      continue;
    }
    double score = function.value(now.point) + 1 / static_cast<double>(now.epochs() + 1);
    story.report(trial, now.epochs() + 1, {score});
    if (dice < 4) {
      story.decide(trial, "pause");
      story.end(trial, "paused");
      paused.push_back(trial);
    } else {
      story.end(trial, dice == 4 ? "failed" : "finished");
    }
  }
  return story;
}

class EverySampler : public testing::TestWithParam<std::string_view> {};

TEST_P(EverySampler, GivesPointsThatMayBeTaken) {
  TestFunction function = mixed();
  for (int64_t seed : {1, 2}) {
    std::unique_ptr<Sampler> sampler = make_sampler(config_of(GetParam(), seed), function.space);
    SweepStory story = untidy_sweep(*sampler, function, 50, static_cast<uint64_t>(seed));
    ASSERT_EQ(story.history().trials().size(), 50);
    for (const Trial& trial : story.history().trials()) {
      Point settled = trial.point;
      function.space.settle(settled);
      EXPECT_TRUE(same_point(settled, trial.point)) << trial.number;
      EXPECT_TRUE(function.space.allows(trial.point)) << trial.number;
      EXPECT_LT(trial.parent, trial.number);
    }
  }
}

TEST_P(EverySampler, AFreshOneGivesTheSamePoints) {
  TestFunction function = mixed();
  SweepConfig config = config_of(GetParam());
  std::unique_ptr<Sampler> sampler = make_sampler(config, function.space);
  SweepStory story = untidy_sweep(*sampler, function, 60, 3);
  // Asked for every point alone; or a last time in the middle; of the history read again either way.
  std::unique_ptr<Sampler> twice = make_sampler(config, function.space);
  int suggestions = 0;
  for (size_t i = 0; i < story.records().size(); ++i) {
    const auto* suggest = std::get_if<SuggestRecord>(&story.records()[i].what);
    if (suggest == nullptr) continue;
    History history = story.beginning(i);
    std::unique_ptr<Sampler> fresh = make_sampler(config, function.space);
    std::optional<Suggestion> again = fresh->suggest(history, suggest->trial);
    ASSERT_TRUE(again.has_value());
    EXPECT_TRUE(same_point(again->point, suggest->point)) << "trial " << suggest->trial;
    EXPECT_EQ(again->parent, suggest->parent) << "trial " << suggest->trial;
    if (suggest->trial % 17 == 16) {
      again = twice->suggest(history, suggest->trial);
      EXPECT_TRUE(same_point(again->point, suggest->point)) << "trial " << suggest->trial << " in steps";
    }
    ++suggestions;
  }
  EXPECT_EQ(suggestions, 60);
}

TEST_P(EverySampler, AsksForItsPointTwiceGivesItTwice) {
  TestFunction function = mixed();
  SweepConfig config = config_of(GetParam());
  std::unique_ptr<Sampler> sampler = make_sampler(config, function.space);
  SweepStory story = untidy_sweep(*sampler, function, 30, 4);
  Point first = sampler->suggest(story.history(), 30)->point;
  EXPECT_TRUE(same_point(sampler->suggest(story.history(), 30)->point, first));
  History early = story.beginning(2);
  Point other = make_sampler(config, function.space)->suggest(early, 1)->point;
  EXPECT_TRUE(same_point(sampler->suggest(early, 1)->point, other)) << "a history that has not grown";
  EXPECT_TRUE(same_point(sampler->suggest(story.history(), 30)->point, first)) << "and back";
}

TEST_P(EverySampler, NoPointComesTwiceWhileEightArePending) {
  // 108 points, of which 60 are asked for; and a space without end.
  Space small = toy_space({integer_parameter("a", 1, 6), integer_parameter("b", 1, 6),
                           choice_parameter("c", {"\"x\"", "\"y\"", "\"z\""})});
  auto flat = [](const Point& x) { return std::abs(x[0] - 2) + std::abs(x[1] - 2) + x[2]; };
  TestFunction wide = branin();
  for (bool is_small : {true, false}) {
    const Space& space = is_small ? small : wide.space;
    SweepConfig config = config_of(GetParam());
    config.grid.points = 8;
    std::unique_ptr<Sampler> sampler = make_sampler(config, space);
    SweepStory story = sweep_function(
        *sampler, space, [&](const Point& x) { return is_small ? flat(x) : wide.value(x); }, 60, 8);
    const std::vector<Trial>& trials = story.history().trials();
    ASSERT_EQ(trials.size(), 60);
    for (size_t i = 0; i < trials.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        EXPECT_FALSE(same_point(trials[i].point, trials[j].point)) << i << " and " << j;
      }
    }
  }
}

TEST_P(EverySampler, GoesOnWhereAllTrialsFail) {
  TestFunction function = mixed();
  std::unique_ptr<Sampler> sampler = make_sampler(config_of(GetParam()), function.space);
  SweepStory story(function.space);
  for (int64_t number = 0; number < 50; ++number) {
    story.failed(sampler->suggest(story.history(), number)->point);
  }
  EXPECT_EQ(story.history().trials().size(), 50);
}

TEST_P(EverySampler, AnotherSeedGivesOtherPoints) {
  if (GetParam() == "grid") GTEST_SKIP() << "draws nothing";
  TestFunction function = branin();
  History empty;
  Point one = make_sampler(config_of(GetParam(), 1), function.space)->suggest(empty, 0)->point;
  Point two = make_sampler(config_of(GetParam(), 2), function.space)->suggest(empty, 0)->point;
  EXPECT_FALSE(same_point(one, two));
}

INSTANTIATE_TEST_SUITE_P(Registry, EverySampler, testing::ValuesIn(sampler_names()),
                         [](const auto& one) { return std::string(one.param); });

TEST(MakeSampler, NamesThoseThatThereAre) {
  TestFunction function = branin();
  test::expect_error(ExitCode::bad_config, {"sweep.sampler", "simplex", "grid", "evolution"},
                     [&] { make_sampler(config_of("simplex"), function.space); });
}

}  // namespace
}  // namespace trireme
