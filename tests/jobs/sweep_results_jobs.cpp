// What people do with a sweep once it runs: its log, its files, and the other commands of trireme-sweep.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/run_command.h"
#include "support/temporary_folder.h"
#include "support/toy_images.h"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using testing::ContainsRegex;
using testing::HasSubstr;

class SweepResultsJobs : public testing::Test {
 protected:
  SweepResultsJobs() {
    write_toy_images(folder_ / "train.h5", {.count = 64});
    write_toy_images(folder_ / "validation.h5", {.count = 37, .seed = 2});
    std::ofstream(folder_ / "net.toml") << R"(
[run]
name = "net"
[data]
train = "train.h5"
validation = "validation.h5"
[model]
kind = "mlp"
hidden = [8]
[train]
epochs = 2
threads = 1
)";
    std::ofstream(folder_ / "search.toml") << R"(
[sweep]
name = "toy"
base = "net.toml"
sampler = "random"
[objective]
metric = "validation.loss"
[budget]
trials = 8
[space]
optimizer.learning_rate = { log_uniform = [1e-4, 1.0] }
data.batch = { int = [4, 32] }
)";
  }
  CommandResult shell(const std::string& command) const {
    return run_command("sh -c 'cd " + folder_.path().string() + " && " + command + "'", 120);
  }
  static std::string program(const std::string& name) {
    return std::string(TRIREME_BINARY_DIR) + "/bin/trireme-" + name;
  }
  static std::string on_ranks(int ranks) { return "mpirun -n " + std::to_string(ranks) + " --bind-to none "; }
  CommandResult sweep(const std::string& arguments) const {
    return shell(program("sweep") + " " + arguments);
  }
  TemporaryFolder folder_;
};

TEST_F(SweepResultsJobs, FromTheSweepToItsBestTraining) {
  CommandResult swept = shell(on_ranks(2) + program("sweep") + " search.toml");
  ASSERT_EQ(swept.code, 0) << swept.output;
  // In a log: lines, and at the end the table.
  EXPECT_THAT(swept.output, HasSubstr("new best: validation.loss "));
  EXPECT_THAT(swept.output, HasSubstr("toy   random   finished"));
  EXPECT_THAT(swept.output, HasSubstr("8/8 trials"));
  for (const char* name : {"best.toml", "sweep.jsonl", "report.html"}) {
    EXPECT_TRUE(fs::exists(folder_ / "runs/toy" / name)) << name;
  }
  CommandResult shown = sweep("show runs/toy");
  EXPECT_EQ(shown.code, 0);
  EXPECT_THAT(shown.output, ContainsRegex("best    validation.loss [0-9.e-]+  of trial [0-7], epoch 2"));
  EXPECT_THAT(sweep("show search.toml --watch 0.5").output, HasSubstr("8/8 trials"));  // it is over
  CommandResult best = sweep("best search.toml");
  EXPECT_EQ(best.code, 0);
  EXPECT_THAT(best.output, HasSubstr("# runs/toy/best.toml\n"));
  CommandResult csv = sweep("export --csv runs/toy");
  EXPECT_EQ(std::count(csv.output.begin(), csv.output.end(), '\n'), 9);
  // The best once more, by itself: the same seed, batch and rate come to the same loss, bit for bit.
  CommandResult trained = shell(program("train") + " runs/toy/best.toml");
  ASSERT_EQ(trained.code, 0) << trained.output;
  std::ifstream trials(folder_ / "runs/toy/sweep.jsonl");
  double least = 1e9;
  for (std::string line; std::getline(trials, line);) {
    least = std::min(least, nlohmann::json::parse(line)["scores"]["validation.loss"].get<double>());
  }
  std::ifstream summary(folder_ / "runs/toy_best/summary.json");
  EXPECT_EQ(nlohmann::json::parse(summary)["validation"]["loss"], least);
}

TEST_F(SweepResultsJobs, ImportanceOnAnyNumberOfRanks) {
  ASSERT_EQ(sweep("search.toml --quiet").code, 0);
  CommandResult alone = sweep("importance runs/toy");
  EXPECT_EQ(alone.code, 0);
  EXPECT_THAT(alone.output, ContainsRegex("optimizer.learning_rate +[0-9.]+ %"));
  CommandResult together = shell(on_ranks(3) + program("sweep") + " importance runs/toy");
  EXPECT_EQ(together.code, 0);
  EXPECT_EQ(together.output, alone.output);
  // The others are one rank's work, whoever started them.
  EXPECT_EQ(shell(on_ranks(2) + program("sweep") + " export --jsonl runs/toy").output,
            sweep("export --jsonl runs/toy").output);
}

TEST_F(SweepResultsJobs, WhatCannotBeReadIsSaid) {
  CommandResult nothing = sweep("show search.toml");
  EXPECT_EQ(nothing.code, 66);
  EXPECT_THAT(nothing.output, HasSubstr("has not been begun"));
  EXPECT_EQ(sweep("best nowhere").code, 66);
  EXPECT_EQ(sweep("export runs/toy").code, 64);
  CommandResult help = sweep("--help");
  for (const char* command : {"show", "best", "importance", "export", "--watch", "--worker"}) {
    EXPECT_THAT(help.output, HasSubstr(command));
  }
}

}  // namespace
}  // namespace trireme::test
