// average and prune: what they make, and what they leave alone.
#include <cmath>

#include "checkpoint/claim.h"
#include "inspect/average_checkpoints.h"
#include "inspect/new_run.h"
#include "inspect/prune.h"
#include "inspect/run_fixture.h"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

class Change : public RunTest {
 protected:
  std::vector<int64_t> steps(const std::string& run) const {
    std::vector<int64_t> found;
    for (const CheckpointEntry& entry : list_checkpoints(folder_ / run / "checkpoints")) {
      found.push_back(entry.step);
    }
    return found;
  }
  using Steps = std::vector<int64_t>;
};

TEST_F(Change, AveragesWeightsAndStatistics) {
  save("run", 10, 1, 0.5);
  save("run", 20, 4);
  save("run", 30, 10);
  CheckpointAverage average({1, 2, 1});
  for (const char* name : {"run:10", "run:20", "run:30"}) average.add(open(name));
  OwnedContent result = average.result();
  EXPECT_EQ(values(result.content.parameters, "conv1.bias"), (std::vector<float>{4.75f, -4.75f}));
  EXPECT_EQ(values(result.content.parameters, "conv1.weight"), std::vector<float>(6, 9.5f));
  EXPECT_EQ(values(result.content.states, "norm1.running_mean"), (std::vector<float>{47.5f}));
  EXPECT_TRUE(result.content.slots.empty());
  EXPECT_EQ(result.content.run.step, 10);
  EXPECT_FALSE(result.content.run.validation) << "the figures are not the average's";

  make_run(folder_ / "soup", result.content);
  Checkpoint made = open("soup");
  EXPECT_EQ(made.run().step, 10);
  EXPECT_EQ(bytes_of(folder_ / "soup/config.toml"), made.run().config);
  expect_error(ExitCode::usage, {"soup", "already"}, [&] { make_run(folder_ / "soup", result.content); });
}

TEST_F(Change, AverageOfEqualsIsTheSameToTheBit) {
  OwnedContent odd = content(10, 1);
  odd.memory[1] = {0.1f, 1e-42f, 3e38f, -7.7f, 1.f / 3, -1e-30f};
  odd.content.parameters[1].values = odd.memory[1];
  save("run", odd);
  CheckpointAverage average({1, 1, 1});
  for (int i = 0; i < 3; ++i) average.add(open("run"));
  EXPECT_EQ(values(average.result().content.parameters, "conv1.weight"), odd.memory[1]);
}

TEST_F(Change, AWeightOfZeroTakesNoPart) {
  OwnedContent bad = content(20, std::nanf(""));
  save("run", 10, 1);
  save("run", bad);
  CheckpointAverage average({1, 0});
  average.add(open("run:10"));
  average.add(open("run:20"));
  EXPECT_EQ(values(average.result().content.parameters, "conv1.bias"), (std::vector<float>{1, -1}));
}

TEST_F(Change, AverageOfDifferentModelsIsRefused) {
  save("a", 10);
  OwnedContent more = content(10);
  more.add(more.content.parameters, "extra", {1}, {1});
  save("b", more);
  OwnedContent other = content(10);
  other.content.parameters[1].shape = {3, 2};
  save("c", other);
  auto both = [&](const char* first, const char* second) {
    CheckpointAverage average({1, 1});
    average.add(open(first));
    average.add(open(second));
  };
  expect_error(ExitCode::bad_data, {"extra", "different models"}, [&] { both("a", "b"); });
  expect_error(ExitCode::bad_data, {"extra", "different models"}, [&] { both("b", "a"); });
  expect_error(ExitCode::bad_data, {"conv1.weight", "[3, 2]", "[2, 3]"}, [&] { both("a", "c"); });
  for (std::vector<double> weights :
       {std::vector<double>{}, {0, 0}, {1, -1}, {1, std::nan("")}, {1, HUGE_VAL}}) {
    expect_error(ExitCode::usage, {"--weights"}, [&] { CheckpointAverage{weights}; });
  }
}

TEST_F(Change, PruneKeepsWhatItIsTold) {
  auto fill = [&](const std::string& run) {
    for (int64_t step : {10, 20, 30, 40, 50}) save(run, step, 1, step == 20 ? 0.9 : 0.1);
  };
  fill("a");
  Report dry = prune(where("a"), {.keep = 1, .dry_run = true}, nobody());
  EXPECT_EQ(steps("a"), (Steps{50, 40, 30, 20, 10}));
  EXPECT_EQ(dry.json["deleted"], (Steps{40, 30, 20, 10}));
  EXPECT_THAT(dry.text, HasSubstr("would be deleted"));
  Report done =
      prune(where("a"), {.keep = 1, .keep_every = 30, .keep_best = 1, .metric = "accuracy"}, nobody());
  EXPECT_EQ(steps("a"), (Steps{50, 30, 20}));
  EXPECT_EQ(done.json["kept"], (Steps{50, 30, 20}));
  EXPECT_FALSE(fs::exists(folder_ / "a/checkpoints/step-0000000010")) << "a leftover stays";
  fill("b");
  prune(where("b"), {}, nobody());  // the config has keep = 2
  EXPECT_EQ(steps("b"), (Steps{50, 40}));
  prune(where("b"), {.keep = 0}, nobody());
  EXPECT_EQ(steps("b"), (Steps{50, 40}));
  expect_error(ExitCode::usage, {"goes with a run"}, [&] { prune(where("b:50"), {.keep = 1}, nobody()); });
}

TEST_F(Change, PruneNeverTakesTheLastGoodOne) {
  save("run", 10);
  save("run", 20);
  flip_a_bit(state_file(save("run", 30)));
  std::vector<std::string> told;
  prune(where("run"), {.keep = 1}, [&](const std::string& message) { told.push_back(message); });
  EXPECT_EQ(steps("run"), (Steps{30, 20}));
  EXPECT_EQ(told.size(), 1u);
  flip_a_bit(state_file(folder_ / "run/checkpoints/step-0000000020"));
  expect_error(ExitCode::bad_data, {"none of the 2"}, [&] { prune(where("run"), {.keep = 1}, nobody()); });
  EXPECT_EQ(steps("run"), (Steps{30, 20}));
}

TEST_F(Change, PruneLeavesALivingRunAlone) {
  for (int64_t step : {10, 20, 30}) save("run", step);
  fs::path checkpoints = folder_ / "run/checkpoints";
  {
    ClaimOptions options;
    options.newest_step = [] { return int64_t{30}; };
    RunClaim running(checkpoints, options);
    expect_error(ExitCode::usage, {std::to_string(::getpid())},
                 [&] { prune(where("run"), {.keep = 1}, nobody()); });
    EXPECT_EQ(steps("run"), (Steps{30, 20, 10}));
    // To look is no harm.
    EXPECT_EQ(prune(where("run"), {.keep = 1, .dry_run = true}, nobody()).json["deleted"], (Steps{20, 10}));
  }
  prune(where("run"), {.keep = 1}, nobody());
  EXPECT_EQ(steps("run"), Steps{30});
}

}  // namespace
}  // namespace trireme::test
