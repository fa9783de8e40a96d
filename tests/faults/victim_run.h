// The run that the victim makes.
#pragma once

#include <string>

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

}  // namespace trireme::test
