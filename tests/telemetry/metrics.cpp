// metrics.jsonl: by contract, each step once, repaired after a kill.
#include "telemetry/metrics.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "base/error.h"
#include "telemetry/temporary_folder.h"

namespace trireme {
namespace {

using Json = nlohmann::json;

class Metrics : public testing::Test {
 protected:
  std::vector<Json> lines() const {
    std::vector<Json> found;
    std::istringstream stream(test::text_of(path_));
    for (std::string line; std::getline(stream, line);) found.push_back(Json::parse(line));
    return found;
  }
  std::vector<int64_t> steps() const {
    std::vector<int64_t> found;
    for (const Json& line : lines()) found.push_back(line.at("step"));
    return found;
  }
  static TrainRecord at(int64_t step) {
    TrainRecord record;
    record.step = step;
    return record;
  }
  void write_steps(int64_t first, int64_t last, int64_t resume) {
    MetricsWriter writer(path_, resume);
    for (int64_t step = first; step <= last; ++step) writer.write(at(step));
  }
  test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "metrics.jsonl";
};

TEST_F(Metrics, WhatServersHaveDone) {
  MetricsWriter writer(path_, 0);
  ParameterServerRecord record{.step = 5, .workers = 2, .workers_lost = 1, .pushes_per_second = 12.5};
  record.staleness = {4, 0, 1};
  record.mean_staleness = 0.4;
  record.by_worker = {{0, true, 3, 0.25}, {1, false, 2, 0.5}};
  writer.write(record);
  Json line = lines().front();
  EXPECT_EQ(line["event"], "parameter_server");
  EXPECT_EQ(line["step"], 5);
  EXPECT_EQ(line["workers_lost"], 1);
  EXPECT_EQ(line["pushes_per_second"], 12.5);
  EXPECT_EQ(line["staleness"], Json::array({4, 0, 1}));
  EXPECT_EQ(line["by_worker"][1]["present"], false);
  EXPECT_EQ(line["by_worker"][1]["wait_seconds"], 0.5);
}

TEST_F(Metrics, FiguresThatAModelHas) {
  MetricsWriter writer(path_, 0);
  ValidationRecord text{.step = 5, .epoch = 1, .loss = 1.5, .accuracy = 0.5, .perplexity = 4.5};
  writer.write(text);
  ValidationRecord gan{.step = 6, .loss = 2, .generator_loss = 2, .discriminator_loss = 0.75};
  writer.write(gan);
  writer.write(TrainRecord{.step = 7,
                           .generator_loss = 2,
                           .discriminator_loss = 1,
                           .learning_rate_factor = 0.5,
                           .loss_scale = 1024,
                           .skipped_steps = 3});
  auto found = lines();
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0], Json::parse(R"({"event":"validation","step":5,"epoch":1,"loss":1.5,"accuracy":0.5,
      "perplexity":4.5})"));
  EXPECT_EQ(found[1], Json::parse(R"({"event":"validation","step":6,"epoch":0,"loss":2.0,"generator_loss":2.0,
      "discriminator_loss":0.75})"));
  EXPECT_EQ(found[2]["learning_rate_factor"], 0.5);
  EXPECT_EQ(found[2]["loss_scale"], 1024.0);
  EXPECT_EQ(found[2]["skipped_steps"], 3);
  EXPECT_FALSE(found[2].contains("gradient_norm"));
  EXPECT_EQ(figures_text(text), "loss 1.5000, accuracy 0.5000, perplexity 4.5000");
  EXPECT_EQ(figures_text(gan), "loss 2.0000, generator loss 2.0000, discriminator loss 0.7500");
}

TEST_F(Metrics, GoesBackWithTheRun) {
  MetricsWriter writer(path_, 0);
  for (int64_t step = 1; step <= 5; ++step) writer.write(TrainRecord{.step = step});
  writer.rewind(3);
  writer.write(TrainRecord{.step = 4, .loss = 7});
  auto found = lines();
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[3]["loss"], 7.0);
  writer.rewind(0);
  EXPECT_TRUE(lines().empty());
}

TEST_F(Metrics, TheContract) {
  MetricsWriter writer(path_, 0);
  writer.write(TrainRecord{938, 2, 60032, 0.25, 0.01, 12345.5, 0.001, 0.02, 0.003, 0.004, 0.5, std::nullopt});
  TrainRecord clipped{.step = 939, .gradient_norm = 1.5};
  writer.write(clipped);
  writer.write(ValidationRecord{938, 1, 0.375, 0.9125});
  auto found = lines();  // while the writer is open: nothing is held back
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0], Json::parse(R"({"event":"train","step":938,"epoch":2,"samples":60032,"loss":0.25,
      "learning_rate":0.01,"samples_per_second":12345.5,"data_seconds":0.001,"compute_seconds":0.02,
      "exchange_seconds":0.003,"exchange_hidden_seconds":0.004,"checkpoint_seconds":0.5})"));
  EXPECT_EQ(found[1].at("gradient_norm"), 1.5);
  EXPECT_EQ(found[2],
            Json::parse(R"({"event":"validation","step":938,"epoch":1,"loss":0.375,"accuracy":0.9125})"));
}

TEST_F(Metrics, WhatJsonCannotSayIsNull) {
  MetricsWriter writer(path_, 0);
  TrainRecord record = at(1);
  record.loss = std::nan("");
  record.samples_per_second = std::numeric_limits<double>::infinity();
  record.gradient_norm = -std::numeric_limits<double>::infinity();
  writer.write(record);
  Json line = lines().at(0);
  EXPECT_TRUE(line.at("loss").is_null());
  EXPECT_TRUE(line.at("samples_per_second").is_null());
  EXPECT_TRUE(line.at("gradient_norm").is_null());
}

TEST_F(Metrics, ResumeHasEachStepOnce) {
  write_steps(1, 10, 0);
  write_steps(7, 12, 6);
  EXPECT_EQ(steps(), (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
  write_steps(1, 2, 0);  // a fresh start
  EXPECT_EQ(steps(), (std::vector<int64_t>{1, 2}));
}

TEST_F(Metrics, ATornLineIsRepaired) {
  write_steps(1, 4, 0);
  std::string whole = test::text_of(path_);
  size_t last = whole.rfind('\n', whole.size() - 2) + 1;
  for (size_t cut = last; cut <= whole.size(); ++cut) {  // at every byte of the last line
    std::ofstream(path_, std::ios::binary) << whole.substr(0, cut);
    write_steps(5, 5, 4);
    std::vector<int64_t> expected{1, 2, 3, 4, 5};
    if (cut < whole.size()) expected = {1, 2, 3, 5};
    EXPECT_EQ(steps(), expected) << "cut at " << cut;
  }
}

TEST_F(Metrics, ForeignLinesAreDropped) {
  std::ofstream(path_, std::ios::binary)
      << "garbage\n[1]\n{\"step\":\"x\"}\n{\"event\":\"train\",\"step\":1}\n\n"
      << std::string(10, '\0') << "\n";
  write_steps(2, 2, 1);
  EXPECT_EQ(steps(), (std::vector<int64_t>{1, 2}));
}

TEST_F(Metrics, NoFolder) { EXPECT_THROW(MetricsWriter(folder_.path() / "none" / "m.jsonl", 0), IoError); }

// A file size limit stands in for a full disk: the line that does not fit is an error and leaves nothing
// torn.
TEST_F(Metrics, FullDisk) {
  pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    MetricsWriter writer(path_, 0);
    try {
      for (int64_t step = 1; step < 100; ++step) writer.write(at(step));
      ::_exit(8);
    } catch (const IoError&) {
    }
    // Told once where somebody wants to go on without.
    int told = 0;
    MetricsWriter tolerant(path_, 100, [&told](const std::string&) { ++told; });
    for (int64_t step = 1; step < 100; ++step) tolerant.write(at(step));
    ::_exit(told == 1 ? 7 : 9);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  std::string text = test::text_of(path_);
  ASSERT_FALSE(text.empty());
  EXPECT_EQ(text.back(), '\n');
  EXPECT_GE(steps().size(), 2u);
}

}  // namespace
}  // namespace trireme
