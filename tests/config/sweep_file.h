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
