#include "telemetry/summary.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "telemetry/process.h"
#include "telemetry/temporary_folder.h"

namespace trireme {
namespace {

using Json = nlohmann::json;

TEST(Summary, TheContract) {
  Summary summary;
  summary.state = Outcome::finished;
  summary.steps = 938;
  summary.epochs = 2;
  summary.train_seconds = 12.5;
  summary.samples_per_second = 9600;
  summary.startup_seconds = 0.25;
  summary.validation = ValidationRecord{938, 2, 0.25, 0.925};
  summary.parameters = 431080;
  summary.parameters_sha256 = "abc";
  summary.ranks = 2;
  summary.hosts = 1;
  summary.virtual_ranks = 8;
  summary.checkpoint_step = 900;
  summary.checkpoints_written = 4;
  summary.checkpoints_failed = 1;
  summary.checkpoint_stall_seconds = 0.5;
  test::TemporaryFolder folder;
  write_summary(folder.path() / "summary.json", summary);
  Json read = Json::parse(test::text_of(folder.path() / "summary.json"));
  EXPECT_EQ(read, Json::parse(R"({"state":"finished","steps":938,"epochs":2,"train_seconds":12.5,
      "samples_per_second":9600.0,"startup_seconds":0.25,"data_stall_fraction":0.0,
      "validation":{"step":938,"epoch":2,"loss":0.25,"accuracy":0.925},
      "parameters":431080,"parameters_sha256":"abc","ranks":2,"hosts":1,"virtual_ranks":8,
      "checkpoint_step":900,"checkpoints_written":4,"checkpoints_failed":1,"checkpoint_stall_seconds":0.5})"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1)
      << "something was left aside";
}

TEST(Summary, StatesAndErrors) {
  Summary summary;
  summary.state = Outcome::stopped;
  EXPECT_EQ(Json::parse(summary_json(summary)).at("state"), "stopped");
  EXPECT_TRUE(Json::parse(summary_json(summary)).at("validation").is_null());
  summary.state = Outcome::failed;
  summary.error = "a \"quoted\" name with \xff in it";
  summary.train_seconds = std::nan("");
  Json read = Json::parse(summary_json(summary));
  EXPECT_EQ(read.at("state"), "failed");
  EXPECT_TRUE(read.at("train_seconds").is_null());
  EXPECT_NE(read.at("error").get<std::string>().find("\"quoted\""), std::string::npos);
}

TEST(Summary, NoFolder) {
  test::TemporaryFolder folder;
  EXPECT_THROW(write_summary(folder.path() / "none" / "summary.json", Summary{}), IoError);
}

TEST(Process, SecondsSinceStart) {
  double before = seconds_since_process_start();
  EXPECT_GE(before, 0);
  EXPECT_LT(before, 60);  // of this test's own process
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  double passed = seconds_since_process_start() - before;
  EXPECT_GE(passed, 0.05);
  EXPECT_LT(passed, 5);
}

}  // namespace
}  // namespace trireme
