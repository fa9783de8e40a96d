// Trials that train, on thread ranks: what they report, how they end, and that a failure is either
// everybody's or the sweep's.
#include "sweep/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <new>
#include <vector>

#include "base/error.h"
#include "comm/thread_ranks.h"
#include "support/temporary_folder.h"
#include "support/toy_images.h"

namespace trireme::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using State = TrialEnd::State;

class Runner : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    write_toy_images(folder_ / "train.h5", {.count = 64});
    write_toy_images(folder_ / "validation.h5", {.count = 37, .seed = 2});
  }

  // What a test looks at beside the end, of rank 0.
  struct Outcome {
    TrialEnd end;
    std::vector<TrialMeasure> reports;
  };

  TrialOrder order(const std::string& extra = "", int64_t trial = 0) const {
    TrialOrder order;
    order.trial = trial;
    order.run_directory = (folder_ / fmt::format("{:04}", trial)).string();
    order.config = fmt::format(
        "run.name = \"toy\"\ndata.train = \"{}\"\ndata.validation = \"{}\"\ndata.batch = 16\n"
        "model.kind = \"mlp\"\nmodel.hidden = [16]\n{}",
        (folder_ / "train.h5").string(), (folder_ / "validation.h5").string(), extra);
    return order;
  }

  using Answer = std::function<Verdict::Kind(const TrialMeasure&)>;
  // The end must be the same on all ranks, which go on together after it.
  Outcome run(
      const TrialOrder& order, const Answer& answer = {}, KeptState* kept = nullptr,
      const std::function<bool()>& stop = [] { return false; }) {
    Outcome outcome;
    std::vector<TrialEnd> ends(static_cast<size_t>(GetParam()));
    TrialRunner runner = make_training_runner(GetParam());
    run_ranks(GetParam(), [&](Communicator& group) {
      auto report = [&](const TrialMeasure& measure) {
        EXPECT_EQ(group.rank(), 0);
        outcome.reports.push_back(measure);
        return Verdict{answer ? answer(measure) : Verdict::Kind::go_on};
      };
      KeptState* own = group.rank() == 0 ? kept : nullptr;
      ends[static_cast<size_t>(group.rank())] = runner(order, group, report, own, stop);
      group.barrier();
    });
    for (const TrialEnd& end : ends) {
      EXPECT_EQ(end.state, ends[0].state);
      EXPECT_EQ(end.reason, ends[0].reason);
      EXPECT_EQ(end.steps, ends[0].steps);
    }
    outcome.end = ends[0];
    return outcome;
  }

  static Answer at_epoch(int64_t epoch, Verdict::Kind kind) {
    return [=](const TrialMeasure& measure) { return measure.epoch == epoch ? kind : Verdict::Kind::go_on; };
  }

  TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(Ranks, Runner, testing::Values(1, 2, 4));

TEST_P(Runner, ReportsEveryValidationAndFinishes) {
  Outcome outcome = run(order("train.epochs = 3\n"));
  EXPECT_EQ(outcome.end.state, State::finished) << outcome.end.reason;
  EXPECT_EQ(outcome.end.steps, 12);
  ASSERT_EQ(outcome.reports.size(), 3u);
  double seconds = 0;
  for (size_t i = 0; i < 3; ++i) {
    const TrialMeasure& report = outcome.reports[i];
    EXPECT_EQ(report.epoch, static_cast<int64_t>(i) + 1);
    EXPECT_EQ(report.step, 4 * report.epoch);
    EXPECT_GT(report.figures.at("validation.loss"), 0);
    EXPECT_GE(report.figures.at("validation.accuracy"), 0);
    EXPECT_EQ(report.figures.at("parameters"), 64 * 16 + 16 + 16 * 4 + 4);
    EXPECT_GT(report.figures.at("samples_per_second"), 0);
    EXPECT_EQ(report.figures.at("train_seconds"), report.seconds);
    EXPECT_GT(report.seconds, seconds);
    seconds = report.seconds;
  }
  // Begun again it has nothing to do, and nothing to report.
  Outcome again = run(order("train.epochs = 3\n"));
  EXPECT_EQ(again.end.state, State::finished);
  EXPECT_TRUE(again.reports.empty());
}

TEST_P(Runner, StopsAndPausesAsToldAndGoesOn) {
  const std::string four = "train.epochs = 4\noptimizer.kind = \"adam\"\n";
  Outcome whole = run(order(four, 1));
  EXPECT_EQ(run(order(four, 2), at_epoch(2, Verdict::Kind::stop)).end.state, State::stopped);

  for (bool keeps : {true, false}) {
    TrialOrder paused = order(four, keeps ? 3 : 4);
    KeptState kept;
    paused.keeps_state = keeps;
    paused.saves = !keeps;
    Outcome first = run(paused, at_epoch(2, Verdict::Kind::pause), &kept);
    EXPECT_EQ(first.end.state, State::paused);
    EXPECT_EQ(first.end.steps, 8);
    EXPECT_EQ(kept.empty(), !keeps);
    Outcome rest = run(paused, {}, &kept);
    EXPECT_EQ(rest.end.state, State::finished) << rest.end.reason;
    ASSERT_EQ(rest.reports.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(rest.reports[i].figures.at("validation.loss"),
                whole.reports[i + 2].figures.at("validation.loss"));
    }
    EXPECT_GT(rest.reports[0].seconds, first.reports[1].seconds);
  }
}

TEST_P(Runner, IsInterruptedWhenTheSweepStops) {
  const std::string three = "train.epochs = 3\n";
  Outcome whole = run(order(three, 1));
  std::atomic<bool> stopping{false};
  auto answer = [&](const TrialMeasure&) {
    stopping = true;
    return Verdict::Kind::go_on;
  };
  Outcome first = run(order(three, 2), answer, nullptr, [&] { return stopping.load(); });
  EXPECT_EQ(first.end.state, State::interrupted);
  EXPECT_LT(first.end.steps, 12);
  Outcome rest = run(order(three, 2));
  EXPECT_EQ(rest.end.state, State::finished);
  EXPECT_EQ(rest.reports.back().figures.at("validation.loss"),
            whole.reports.back().figures.at("validation.loss"));
}

TEST_P(Runner, WhatIsWrongWithTheTrialIsAnEndOnAllRanks) {
  auto failure = [&](const std::string& extra, const std::vector<std::string>& words,
                     KeptState* kept = nullptr) {
    static int64_t trial = 10;
    Outcome outcome = run(order(extra, ++trial), {}, kept);
    EXPECT_EQ(outcome.end.state, State::failed) << extra;
    for (const std::string& word : words) EXPECT_THAT(outcome.end.reason, HasSubstr(word)) << extra;
  };
  failure("model.hiden = [3]\n", {"model.hiden"});
  failure("parallel.mode = \"parameter_server\"\n", {"parameter_server"});
  failure("optimizer.learning_rate = 1e30\n", {"step"});
  failure("optimizer.learning_rate = 1e30\ntrain.on_nan = \"rollback\"\n", {"rollbacks"});
  failure("train.micro_batches = 17\nparallel.virtual_ranks = 3\n", {});
  KeptState other;
  TrialOrder small = order("model.hidden = [5]\ntrain.epochs = 1\n", 90);
  small.config.erase(small.config.find("model.hidden = [16]\n"), 20);
  small.keeps_state = true;
  ASSERT_EQ(run(small, {}, &other).end.state, State::finished);
  failure("", {"linear", "another model"}, &other);

  TrialOrder missing = order("", 91);
  missing.config.replace(missing.config.find("train.h5"), 8, "nowhere.h5");
  Outcome outcome = run(missing);
  EXPECT_EQ(outcome.end.state, State::failed);
  EXPECT_THAT(outcome.end.reason, HasSubstr("nowhere.h5"));

  std::ofstream(folder_ / "file") << "no folder";
  TrialOrder nowhere = order("", 92);
  nowhere.run_directory = (folder_ / "file" / "0092").string();
  EXPECT_EQ(run(nowhere).end.state, State::hindered);  // all others would fare alike
}

// One rank's own misfortune ends the sweep, unless the rank is all there is.
TEST_P(Runner, WhatStrikesOneRankIsThrown) {
  std::atomic<int> polls{0};
  auto strikes = [&] {
    if (++polls == 6) throw std::bad_alloc();
    return false;
  };
  if (GetParam() == 1) {
    Outcome outcome = run(order("train.epochs = 3\n", 1), {}, nullptr, strikes);
    EXPECT_EQ(outcome.end.state, State::failed);
    EXPECT_THAT(outcome.end.reason, HasSubstr("bad_alloc"));
  } else {
    EXPECT_THROW(run(order("train.epochs = 3\n", 1), {}, nullptr, strikes), std::bad_alloc);
  }
  // What the sweep itself says is never the trial's fault.
  auto gone = [](const TrialMeasure&) -> Verdict::Kind { throw DataError("no controller"); };
  EXPECT_THROW(run(order("train.epochs = 3\n", 2), gone), DataError);
}

TEST_P(Runner, LeavesNothingInCheckpointsWhereItDoesNotSave) {
  TrialOrder light = order("train.epochs = 2\n", 1);
  light.saves = false;
  EXPECT_EQ(run(light).end.state, State::finished);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(light.run_directory)) {
    files.push_back(entry.path().filename().string());
  }
  std::sort(files.begin(), files.end());
  EXPECT_THAT(files, ElementsAre("config.toml", "log.txt", "metrics.jsonl", "summary.json"));
}

}  // namespace
}  // namespace trireme::test
