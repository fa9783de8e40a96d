// Whole jobs of servers and workers: trireme-train as a launcher starts it, its processes one by one.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "checkpoint/reader.h"
#include "support/process.h"
#include "support/temporary_folder.h"
#include "support/toy_images.h"

namespace trireme::test {

using Processes = std::vector<std::unique_ptr<Process>>;

// The training data, and runs over it. 61 samples in batches of 17: the last step of an epoch, its 4th,
// has 10.
class ServedJobTest : public testing::Test {
 protected:
  static constexpr const char* mode_key = "parallel.parameter_server.";

  ServedJobTest() {
    write_toy_images(folder_ / "train.h5", {.count = 61});
    write_toy_images(folder_ / "validation.h5", {.count = 37, .seed = 2});
    write_config("");
  }

  // `tables` stand at the end of the config.
  void write_config(const std::string& tables) {
    std::ofstream file(folder_ / "c.toml");
    file
        << "[run]\nname = \"toy\"\n[data]\ntrain = \"train.h5\"\nvalidation = \"validation.h5\"\nbatch = 17\n"
           "validation_batch = 8\n[train]\nepochs = 3\nthreads = 1\nlog_every_steps = 1\n[optimizer]\n"
           "learning_rate = 0.1\n[parallel.parameter_server]\nlease_seconds = 2\n";
    file << (tables.empty() ? "[model]\nkind = \"mlp\"\nhidden = [16]\n" : tables);
  }

  using Keys = std::vector<std::string>;

  // One process; rank -1: started by no launcher.
  std::unique_ptr<Process> start_one(int rank, int size, const std::string& run, const Keys& keys,
                                     const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{(folder_ / "c.toml").string(), "--run-dir", (folder_ / run).string()};
    for (const char* set : {"train", "validation"}) {
      words.insert(words.end(), {"--set", fmt::format("data.{}=\"{}\"", set,
                                                      (folder_ / (std::string(set) + ".h5")).string())});
    }
    for (const std::string& key : keys) words.insert(words.end(), {"--set", key});
    words.insert(words.end(), more.begin(), more.end());
    std::vector<std::string> variables;
    if (rank >= 0) {
      variables = {fmt::format("OMPI_COMM_WORLD_RANK={}", rank), fmt::format("OMPI_COMM_WORLD_SIZE={}", size),
                   fmt::format("OMPI_COMM_WORLD_LOCAL_RANK={}", rank),
                   fmt::format("OMPI_COMM_WORLD_LOCAL_SIZE={}", size),
                   fmt::format("PMIX_NAMESPACE=launch{}", launch_)};
    }
    std::string output = (folder_ / fmt::format("output-{}", outputs_++)).string();
    words.insert(words.begin(), TRIREME_BINARY_DIR "/bin/trireme-train");
    return std::make_unique<Process>(words, output, environment_of_rank(variables));
  }

  // This process's environment without what a launcher has put there, and `variables`.
  static std::vector<std::string> environment_of_rank(std::vector<std::string> variables) {
    for (char** variable = environ; *variable != nullptr; ++variable) {
      std::string text = *variable;
      bool of_launcher =
          text.starts_with("OMPI_COMM") || text.starts_with("PMIX_") || text.starts_with("SLURM_");
      if (!of_launcher && !text.starts_with("OMP_NUM_THREADS=")) variables.push_back(text);
    }
    variables.push_back("OMP_NUM_THREADS=1");
    return variables;
  }

  static Keys served(Keys keys) {
    keys.insert(keys.begin(), "parallel.mode=parameter_server");
    return keys;
  }

  // A launch of `size` processes with parallel.mode = "parameter_server".
  Processes start(int size, const std::string& run, const Keys& keys,
                  const std::vector<std::string>& more = {}) {
    ++launch_;
    Processes processes;
    for (int rank = 0; rank < size; ++rank)
      processes.push_back(start_one(rank, size, run, served(keys), more));
    return processes;
  }
  // All must end with `code`.
  void expect_all(Processes& processes, int code, double seconds = 30) {
    for (size_t rank = 0; rank < processes.size(); ++rank) {
      ASSERT_EQ(processes[rank]->wait(seconds), code)
          << "rank " << rank << ": " << processes[rank]->output() << "\nserver 0: " << processes[0]->output();
    }
  }
  void train_served(int size, const std::string& run, const Keys& keys,
                    const std::vector<std::string>& more = {}) {
    Processes processes = start(size, run, keys, more);
    expect_all(processes, 0);
  }
  // By all-reduce, one rank.
  void train_alone(const std::string& run, const Keys& keys) {
    auto process = start_one(-1, 1, run, keys);
    ASSERT_EQ(process->wait(), 0) << process->output();
  }

  std::string text_of(const std::string& name) const {
    std::ifstream file(folder_ / name);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  nlohmann::json summary(const std::string& run) const {
    return nlohmann::json::parse(text_of(run + "/summary.json"), nullptr, false);
  }
  std::vector<nlohmann::json> events(const std::string& run, const std::string& kind) const {
    std::vector<nlohmann::json> found;
    std::istringstream lines(text_of(run + "/metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
      if (object.is_object() && object["event"] == kind) found.push_back(object);
    }
    return found;
  }
  std::vector<double> losses(const std::string& run) const {
    std::vector<double> values;
    for (const nlohmann::json& event : events(run, "train")) values.push_back(event["loss"]);
    return values;
  }
  // The newest checkpoint's parameters, states and slots by name.
  std::map<std::string, std::vector<float>> state_of(const std::string& run) const {
    std::map<std::string, std::vector<float>> values;
    auto all = list_checkpoints(folder_ / run / "checkpoints");
    if (all.empty()) return values;
    Checkpoint checkpoint(all.front().directory);
    auto take = [&values](const std::string& prefix, const std::vector<NamedTensor>& tensors) {
      for (const NamedTensor& tensor : tensors)
        values[prefix + tensor.name].assign(tensor.values.begin(), tensor.values.end());
    };
    take("", checkpoint.content().parameters);
    take("state ", checkpoint.content().states);
    for (const OptimizerSlot& slot : checkpoint.content().slots) take(slot.name + " ", slot.tensors);
    return values;
  }
  void expect_same_state(const std::string& run, const std::string& other, double tolerance) const {
    auto a = state_of(run), b = state_of(other);
    ASSERT_FALSE(a.empty());
    ASSERT_EQ(a.size(), b.size());
    for (const auto& [name, values] : a) {
      ASSERT_EQ(values.size(), b[name].size()) << name;
      for (size_t i = 0; i < values.size(); ++i)
        ASSERT_NEAR(values[i], b[name][i], tolerance) << name << " " << i;
    }
  }
  // Waits until the run has written `count` training records.
  bool has_trained(const std::string& run, size_t count, double seconds = 30) const {
    auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (events(run, "train").size() < count) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  // Every piece of every step came in once, whoever computed it.
  void expect_all_samples(const std::string& run, int64_t epochs) const {
    auto trained = events(run, "train");
    ASSERT_FALSE(trained.empty());
    EXPECT_EQ(trained.back()["samples"], epochs * 61);
    int64_t step = 0;
    for (const auto& event : trained) EXPECT_EQ(event["step"], ++step);
  }

  TemporaryFolder folder_;
  int launch_ = 0;
  int outputs_ = 0;
};

}  // namespace trireme::test
