// The runs that the victim makes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/content.h"
#include "config/config.h"

namespace trireme::test {

constexpr int64_t victim_steps = 12;
constexpr int64_t victim_interval = 2;  // steps between checkpoints
constexpr int64_t victim_keep = 2;

// Toy images in `data`: 64 of them, four steps an epoch.
inline Config victim_config(const std::string& data) {
  return parse_config("", "victim.toml",
                      {"data.train=\"" + data + "\"", "data.batch=16", "train.threads=1", "train.epochs=3",
                       "train.log_every_steps=4", "model.hidden=[16]", "optimizer.learning_rate=0.1",
                       "checkpoint.every_steps=" + std::to_string(victim_interval),
                       "checkpoint.keep=" + std::to_string(victim_keep)});
}

// What `--replace` saves: of one step, large enough to go past the page cache where that can be.
struct VictimState {
  static constexpr int64_t step = 10;
  explicit VictimState(int version) : values(size_t{300'000}, static_cast<float>(version)) {
    content.parameters.push_back({"weight", Shape{1000, 300}, values});
    content.run.step = step;
    content.run.config = "[run]\nname = \"replaced\"\n";
    content.run.version = "0.1.0";
  }
  VictimState(const VictimState&) = delete;
  VictimState& operator=(const VictimState&) = delete;
  std::vector<float> values;
  CheckpointContent content;
};

}  // namespace trireme::test
