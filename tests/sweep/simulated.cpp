// Whole sweeps in simulated time under every scheduler: none hangs, nobody starves, every decision is a pure
// function of the history; and ASHA is worth it.
#include <gtest/gtest.h>

#include "sweep/simulation.h"

namespace trireme {
namespace {

constexpr int64_t max_epochs = 9;

SweepConfig config_of(std::string_view name, uint64_t seed) {
  SweepConfig config = scheduled(std::string(name));
  config.sweep.seed = static_cast<int64_t>(seed);
  config.pbt.population = config.ltfb.population = 6;
  config.pbt.interval_epochs = config.ltfb.interval_epochs = 2;
  return config;
}

// Learning curves with noise; a few trials fail on their way.
Simulated workload(uint64_t seed, int workers, const Space& space) {
  Simulated what{.workers = workers, .trials = 40, .max_epochs = max_epochs, .seed = seed};
  what.suggest = [&space, seed](int64_t trial) {
    RandomStream random(seed, Purpose::test, static_cast<uint64_t>(trial), 1);
    return space.draw(random);
  };
  what.train = [seed](const Trial& trial, int64_t epoch) {
    RandomStream random(seed, Purpose::test, static_cast<uint64_t>(trial.number),
                        static_cast<uint32_t>(100 + epoch));
    if (random.uniform() < 0.01) return kNan;
    double off = std::log10(trial.point[0]) + 2;
    return 0.1 * off * off + 1 / static_cast<double>(epoch) + 0.1 * random.uniform();
  };
  return what;
}

struct Case {
  std::string_view scheduler;
  int workers;
  uint64_t seed;
};

void for_all_cases(const std::function<void(const Case&)>& body) {
  for (std::string_view name : scheduler_names()) {
    for (int workers : {1, 3, 8}) {
      for (uint64_t seed = 1; seed <= 4; ++seed) {
        SCOPED_TRACE(testing::Message() << name << ", " << workers << " workers, seed " << seed);
        body({name, workers, seed});
      }
    }
  }
}

TEST(SimulatedSweeps, EndWithAllTrialsOver) {
  Space space = rate_space();
  for_all_cases([&](const Case& one) {
    auto scheduler = make_scheduler(config_of(one.scheduler, one.seed), space, max_epochs);
    Simulated what = workload(one.seed, one.workers, space);
    Simulation simulation(what, space, *scheduler);
    simulation.run();
    const History& history = simulation.story().history();
    bool population = one.scheduler == "pbt" || one.scheduler == "ltfb";
    EXPECT_EQ(history.trials().size(), population ? 6u : 40u);
    for (const Trial& trial : history.trials()) {
      EXPECT_TRUE(trial.is_over());
      EXPECT_TRUE(trial.state != TrialState::finished || trial.epochs() == max_epochs);
      EXPECT_TRUE(!population || trial.state != TrialState::stopped);  // nobody starves
    }
    if (one.scheduler != "asha" && one.scheduler != "hyperband") {
      EXPECT_TRUE(simulation.left_paused().empty());
    }
    // While there is something to begin, no rank idles: at the end alone some wait for the last trials.
    double idle = simulation.clock() * one.workers - simulation.busy();
    EXPECT_LE(idle, one.workers * 1.6 * static_cast<double>(max_epochs));
  });
}

// Whoever may be promoted has been when nothing else is left to do: of 40 that reached the first rung less
// those that failed, a third reached the second, and so on.
TEST(SimulatedSweeps, AshaPromotesUntilNobodyMayBe) {
  Space space = rate_space();
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    auto scheduler = make_scheduler(config_of("asha", seed), space, max_epochs);
    Simulated what = workload(seed, 8, space);
    History history = simulate(what, space, *scheduler);
    for (int64_t rung : {1, 3}) {
      std::vector<std::pair<double, bool>> at_rung;  // score, and whether it went on
      for (const Trial& trial : history.trials()) {
        if (trial.state == TrialState::failed || trial.epochs() < rung) continue;
        at_rung.emplace_back(trial.reports.at(static_cast<size_t>(rung - 1)).scores[0],
                             trial.epochs() > rung);
      }
      std::ranges::sort(at_rung);
      for (size_t i = 0; i < at_rung.size() / 3; ++i) EXPECT_TRUE(at_rung[i].second) << i;
    }
  }
}

// Every decision that the journal tells of is made again by a new scheduler that has read the journal so far.
TEST(SimulatedSweeps, DecisionsArePureFunctionsOfTheHistory) {
  Space space = rate_space();
  for_all_cases([&](const Case& one) {
    SweepConfig config = config_of(one.scheduler, one.seed);
    auto scheduler = make_scheduler(config, space, max_epochs);
    Simulated what = workload(one.seed, one.workers, space);
    Simulation simulation(what, space, *scheduler);
    simulation.run();
    const std::vector<Record>& records = simulation.story().records();
    History history;
    int decisions = 0;
    for (size_t i = 0; i < records.size(); ++i) {
      if (const auto* begin = std::get_if<BeginRecord>(&records[i].what); begin && begin->resumed) {
        Openings openings{[](const Trial&) { return true; }, simulation.had_more(records[i].number)};
        auto again = make_scheduler(config, space, max_epochs)->take_up(history, openings);
        ASSERT_TRUE(again);
        EXPECT_EQ(again->trial, begin->trial);
        EXPECT_EQ(again->source, begin->source);
        EXPECT_EQ(again->point, begin->point);
        ++decisions;
      }
      history.apply(records[i]);
      if (const auto* report = std::get_if<ReportRecord>(&records[i].what)) {
        Verdict again = make_scheduler(config, space, max_epochs)->judge(history, report->trial);
        const auto* decision =
            i + 1 < records.size() ? std::get_if<DecisionRecord>(&records[i + 1].what) : nullptr;
        std::string verdict = decision == nullptr ? "" : decision->verdict;
        EXPECT_EQ(again.kind == Verdict::Kind::pause, verdict == "pause");
        EXPECT_EQ(again.kind == Verdict::Kind::stop, verdict == "stop");
        EXPECT_EQ(again.reason, decision == nullptr ? "" : decision->reason);
        decisions += decision != nullptr;
      }
    }
    EXPECT_EQ(decisions > 0, one.scheduler != "none");
  });
}

// Ranks of three widths share eight: promotions wait for room, and all get it.
TEST(SimulatedSweeps, WideTrialsArePromotedToo) {
  Space space = rate_space();
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    auto scheduler = make_scheduler(config_of("asha", seed), space, max_epochs);
    Simulated what = workload(seed, 8, space);
    what.width = [](int64_t trial) { return trial % 5 == 0 ? 8 : trial % 2 == 0 ? 2 : 1; };
    History history = simulate(what, space, *scheduler);
    int64_t finished = 0;
    for (const Trial& trial : history.trials()) finished += trial.state == TrialState::finished;
    EXPECT_EQ(history.trials().size(), 40u);
    EXPECT_GE(finished, 3);
  }
}

TEST(SimulatedSweeps, APopulationWhoseSamplerHasNoMorePointsGoesOn) {
  Space space = rate_space();
  for (const char* name : {"pbt", "ltfb"}) {
    auto scheduler = make_scheduler(config_of(name, 1), space, max_epochs);
    Simulated what = workload(1, 2, space);
    what.train = [](const Trial& trial, int64_t) { return trial.point[0]; };
    what.suggest = [](int64_t trial) -> std::optional<Point> {
      if (trial >= 4) return std::nullopt;
      return Point{0.1 * static_cast<double>(trial + 1)};
    };
    History history = simulate(what, space, *scheduler);
    ASSERT_EQ(history.trials().size(), 4u);
    for (const Trial& trial : history.trials()) EXPECT_EQ(trial.state, TrialState::finished);
  }
}

// Trials that ran begin again where their checkpoints are, those that were told to pause are paused.
TEST(SimulatedSweeps, GoOnAfterCrashes) {
  Space space = rate_space();
  for_all_cases([&](const Case& one) {
    auto scheduler = make_scheduler(config_of(one.scheduler, one.seed), space, max_epochs);
    Simulated what = workload(one.seed, one.workers, space);
    what.crash_after = 17;
    History history = simulate(what, space, *scheduler);
    bool population = one.scheduler == "pbt" || one.scheduler == "ltfb";
    EXPECT_EQ(history.trials().size(), population ? 6u : 40u);
    for (const Trial& trial : history.trials()) {
      EXPECT_TRUE(trial.is_over());
      EXPECT_TRUE(!population || trial.state != TrialState::stopped);
    }
  });
}

TEST(SimulatedSweeps, AFailedPopulationIsTheEnd) {
  Space space = rate_space();
  auto scheduler = make_scheduler(config_of("pbt", 1), space, max_epochs);
  Simulated what = workload(1, 3, space);
  what.train = [](const Trial&, int64_t) { return kNan; };
  History history = simulate(what, space, *scheduler);
  EXPECT_EQ(history.trials().size(), 6u);
}

// Learning curves as trainings have them: a level that four settings make, approached at a pace that two of
// them change, so that early scores are a hint and no more; and noise.
struct Curve {
  double level, pace;
  double at(int64_t epoch) const { return level + 0.8 * std::exp(-pace * static_cast<double>(epoch)); }
};

Curve curve_of(const Point& x) {
  double rate = std::log10(x[0]);
  double off = 0.04 * (rate + 1.8) * (rate + 1.8);
  for (size_t i = 1; i < 4; ++i) off += 0.2 * (x[i] - 0.3) * (x[i] - 0.3);
  return {0.08 + off, 0.1 + 0.4 * std::exp(-(rate + 1.2) * (rate + 1.2)) + 0.1 * x[1]};
}

// Eight workers; random search trains 64 trials to their ends, ASHA begins as many as a third of those epochs
// are enough for. What counts is the level of the trial that each takes for the best, without noise.
TEST(SimulatedSweeps, AshaNeedsAThirdOfRandomSearchsEpochs) {
  std::vector<Parameter> parameters = cube(4, 0, 1);
  parameters[0] = real_parameter("optimizer.learning_rate", 1e-4, 1, true);
  Space space = toy_space(std::move(parameters));
  constexpr int64_t epochs = 81;
  constexpr uint64_t seeds = 20;
  double random_sum = 0, asha_sum = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    auto search = [&](const std::string& name, int64_t trials) {
      Simulated what{.workers = 8, .trials = trials, .max_epochs = epochs, .seed = seed};
      what.suggest = [&](int64_t trial) {
        RandomStream random(seed, Purpose::test, static_cast<uint64_t>(trial), 1);
        return space.draw(random);
      };
      what.train = [&](const Trial& trial, int64_t epoch) {
        RandomStream random(seed, Purpose::test, static_cast<uint64_t>(trial.number),
                            static_cast<uint32_t>(100 + epoch));
        return curve_of(trial.point).at(epoch) + 0.005 * static_cast<double>(random.normal());
      };
      auto scheduler = make_scheduler(scheduled(name), space, epochs);
      return simulate(what, space, *scheduler);
    };
    auto level = [](const History& history) {
      return curve_of(history.trial(pareto_front(history.trials())[0]).point).level;
    };
    History random = search("none", 64), asha = search("asha", 300);
    EXPECT_EQ(random.epochs(), 64 * epochs);
    EXPECT_LE(3 * asha.epochs(), random.epochs());
    random_sum += level(random) / seeds;
    asha_sum += level(asha) / seeds;
  }
  std::printf("mean level of the best: random search %.4f, asha %.4f\n", random_sum, asha_sum);
  EXPECT_LE(asha_sum, random_sum);
}

}  // namespace
}  // namespace trireme
