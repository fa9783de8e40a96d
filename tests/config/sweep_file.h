// A folder with a training config, for tests of sweeps' files beside it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "config/sweep_config.h"
#include "support/temporary_folder.h"

namespace trireme {

inline const std::string base_text = R"([data]
train = "train.h5"
validation = "test.h5"
[model]
kind = "layers"
[[model.layer]]
kind = "linear"
units = 10
[[model.layer]]
kind = "dropout"
[optimizer]
kind = "sgd"
momentum = 0.8
)";

inline const std::string tail = "[budget]\ntrials = 3\n[space]\ndata.batch = { int = [1, 8] }\n";

// Something of everything; the training config suits it.
inline const std::string whole_file = R"([sweep]
name = "whole"
base = "base.toml"
seed = 7
sampler = "gp"
scheduler = "asha"
ranks_per_trial = 2
retries = 0
suggest_ahead = true
keep_checkpoints = "all"
constraints = ["data.batch * train.micro_batches <= 512", "optimizer.momentum < 0.9"]
[sweep.set]
train.epochs = 9
"model.layer[0].units" = 20
[sweep.asha]
reduction = 4
[objective]
metric = "validation.accuracy"
at = "best"
[budget]
trials = 100
seconds = 3600
epochs = 500
[space]
"optimizer.kind" = { choice = ["sgd", "adam"] }
data.batch = { log_int = [16, 256] }
"optimizer.learning_rate" = { log_uniform = [1e-4, 0.1] }
"model.layer[1].rate" = { quantized = [0.0, 0.5], step = 0.1 }
train.micro_batches = { quantized = [1, 9], step = 2 }
sweep.ranks_per_trial = { choice = [1, 2] }
run.seed = { int = [0, 3], when = 'optimizer.kind == "sgd"' }
[space.optimizer.momentum]
uniform = [0, 0.99]
when = "optimizer.kind == 'sgd'"
[space.optimizer]
weight_decay = { log_quantized = [0.001, 0.1], step = 0.001 }
nesterov = { choice = [true, false], when = "optimizer.momentum > 0" }
)";

class SweepFile : public testing::Test {
 protected:
  void SetUp() override { write_file_atomically(folder_.path() / "base.toml", base_text); }

  SweepConfig parse(const std::string& text, const std::vector<std::string>& overrides = {}) const {
    return parse_sweep_config(text, file(), overrides);
  }
  std::string file() const { return (folder_.path() / "s.toml").string(); }

  // The message of the fault, with the file's folder left out.
  template <class Function>
  std::string fault_of(Function function) const {
    try {
      function();
    } catch (const ConfigError& error) {
      std::string message = error.what();
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      std::string place = folder_.path().string() + "/";
      while (message.find(place) != std::string::npos) message.erase(message.find(place), place.size());
      return message;
    }
    return "accepted";
  }

  test::TemporaryFolder folder_;
};

}  // namespace trireme
