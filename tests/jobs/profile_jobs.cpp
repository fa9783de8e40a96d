// trireme-train --profile as it is run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "support/run_command.h"
#include "support/temporary_folder.h"
#include "support/toy_images.h"

namespace trireme::test {
namespace {

using testing::HasSubstr;

class ProfileJobs : public testing::Test {
 protected:
  ProfileJobs() {
    write_toy_images(folder_ / "train.h5", {.count = 64, .side = 28});
    std::ofstream(folder_ / "lenet.toml")
        << "[run]\nname = \"toy\"\n[data]\ntrain = \"train.h5\"\nbatch = 32\n"
           "[model]\nkind = \"lenet\"\n[train]\nthreads = 1\n";
  }
  CommandResult profile(const std::string& arguments, int ranks = 0) const {
    std::string launcher = ranks > 0 ? "mpirun --bind-to none -n " + std::to_string(ranks) + " " : "";
    std::string here = "sh -c 'cd " + folder_.path().string() + " && ";
    return run_command(
        here + launcher + TRIREME_BINARY_DIR "/bin/trireme-train lenet.toml " + arguments + "'", 120);
  }
  std::set<int> ranks_in_trace() const {
    std::ifstream file(folder_ / "out" / "profile.json");
    nlohmann::json trace = nlohmann::json::parse(file);
    std::set<int> ranks;
    for (const auto& event : trace.at("traceEvents")) ranks.insert(event.at("pid").get<int>());
    return ranks;
  }
  TemporaryFolder folder_;
};

TEST_F(ProfileJobs, PrintsTheReportAndWritesTheTrace) {
  CommandResult result = profile("--profile 5 --run-dir out");
  EXPECT_EQ(result.code, 0) << result.output;
  for (const char* text : {"machine: matrix product", "by op", "convolution_backward_weights", "by phase",
                           "slowest nodes", "out/profile.json"}) {
    EXPECT_THAT(result.output, HasSubstr(text));
  }
  EXPECT_EQ(ranks_in_trace(), std::set<int>{0});
}

TEST_F(ProfileJobs, OfTwoRanksHasBothInTheTraceAndOneReport) {
  CommandResult result = profile("--profile 3 --run-dir out", 2);
  EXPECT_EQ(result.code, 0) << result.output;
  EXPECT_EQ(result.times("by phase"), 1);
  EXPECT_THAT(result.output, HasSubstr("rank 0 of 2"));
  EXPECT_EQ(ranks_in_trace(), (std::set<int>{0, 1}));
}

TEST_F(ProfileJobs, WhatCannotBeProfiledIsRefused) {
  for (const char* bad :
       {"--profile 0", "--profile x", "--profile", "--profile 3 --plan", "--profile 3 --fresh"}) {
    CommandResult result = profile(std::string(bad) + " --run-dir out");
    EXPECT_EQ(result.code, 64) << bad << ": " << result.output;
    EXPECT_THAT(result.output, HasSubstr("--profile"));
  }
  CommandResult served = profile("--profile 3 --run-dir out --set parallel.mode=parameter_server");
  EXPECT_EQ(served.code, 78) << served.output;
  EXPECT_THAT(served.output, HasSubstr("parallel.mode=allreduce"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
}

}  // namespace
}  // namespace trireme::test
