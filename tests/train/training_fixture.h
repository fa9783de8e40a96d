// Small runs on thread ranks: a config, a data set, a folder, and what came of it.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "comm/thread_ranks.h"
#include "config/config.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "support/toy_images.h"
#include "train/train.h"

namespace trireme::test {

// What rank 0 saw.
struct RunOutcome {
  TrainResult result;
  std::vector<TrainRecord> steps;
  std::vector<ValidationRecord> validations;

  std::vector<double> losses() const {
    std::vector<double> values;
    for (const TrainRecord& record : steps) values.push_back(record.loss);
    return values;
  }
};

class TrainingTest : public testing::Test {
 protected:
  // A config over toy data. `extra` holds lines "table.key = value", which win over the fixture's own, and
  // then whole tables of TOML.
  Config config(const std::string& extra = "", int64_t samples = 64, int64_t batch = 16) {
    std::string data = (folder_ / ("train" + std::to_string(samples) + ".h5")).string();
    if (!std::filesystem::exists(data)) write_toy_images(data, {.count = samples});
    std::string held_out = (folder_ / "validation.h5").string();
    if (!std::filesystem::exists(held_out)) write_toy_images(held_out, {.count = 37, .seed = 2});
    size_t tables = std::min(extra.find("[model]"), extra.size());
    std::vector<std::string> keys{"data.train=\"" + data + "\"",
                                  "data.validation=\"" + held_out + "\"",
                                  "data.batch=" + std::to_string(batch),
                                  "data.validation_batch=8",
                                  "train.threads=1",
                                  "optimizer.learning_rate=0.1"};
    if (tables == extra.size()) keys.push_back("model.hidden=[16]");
    std::istringstream lines(extra.substr(0, tables));
    for (std::string line; std::getline(lines, line);) {
      size_t at = line.find(" = ");
      if (at != std::string::npos) keys.push_back(line.substr(0, at) + "=" + line.substr(at + 3));
    }
    return parse_config(extra.substr(tables), "test.toml", keys);
  }

  // Trains on `ranks` thread ranks in folder `name`. `tweak` may change options, per rank.
  RunOutcome run(const Config& config, int ranks, const std::string& name,
                 const std::function<void(TrainOptions&, int)>& tweak = {}) {
    RunOutcome outcome;
    run_ranks(ranks, [&](Communicator& communicator) {
      TrainOptions options;
      options.run_directory = folder_ / name;
      options.console = nullptr;
      if (communicator.rank() == 0) {
        options.hooks.after_step = [&](const TrainRecord& record) { outcome.steps.push_back(record); };
        options.hooks.after_validation = [&](const ValidationRecord& v) { outcome.validations.push_back(v); };
      }
      if (tweak) tweak(options, communicator.rank());
      TrainResult result = train(config, communicator, options);
      if (communicator.rank() == 0) outcome.result = result;
    });
    return outcome;
  }

  // Stops at the first poll after `steps` steps were done on this rank.
  static void stop_after(TrainOptions& options, int64_t steps) {
    auto done = std::make_shared<int64_t>(0);
    auto earlier = options.hooks.after_step;
    options.hooks.after_step = [done, earlier](const TrainRecord& record) {
      *done = record.step;
      if (earlier) earlier(record);
    };
    options.stop_requested = [done, steps] { return *done >= steps; };
  }

  nlohmann::json summary(const std::string& name) const {
    return nlohmann::json::parse(text_of(name + "/summary.json"));
  }
  std::string text_of(const std::string& name) const {
    std::ifstream file(folder_ / name);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  bool has(const std::string& name) const { return std::filesystem::exists(folder_ / name); }

  TemporaryFolder folder_;
};

// A net with batch norm and dropout on 8 x 8 images.
inline const char* const batch_norm_model = R"(
[model]
kind = "layers"
[[model.layer]]
kind = "convolution"
channels = 4
kernel = 3
padding = 1
[[model.layer]]
kind = "batch_norm"
[[model.layer]]
kind = "relu"
[[model.layer]]
kind = "max_pool"
kernel = 2
[[model.layer]]
kind = "dropout"
rate = 0.25
[[model.layer]]
kind = "linear"
units = 4
)";

}  // namespace trireme::test
