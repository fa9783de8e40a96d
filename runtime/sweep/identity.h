// What must not change between the starts of a sweep, since what was learned so far would be worth nothing:
// the space, the objectives, the seed, and the training run that trials are made from.
#pragma once

#include <string>

#include "config/sweep_config.h"

namespace trireme {

// A line "key = value" each. Left out of the training config is what does not change results: its name, log
// intervals, checkpoints, transports.
std::string identity_text(const SweepConfig& config, const Config& base);
// 32 hexadecimal digits of it, for StartRecord::sweep.
std::string identity_hash(const std::string& text);
// "sweep.seed is 2, was 1; ...": the first few lines in which the two differ; empty for none.
std::string identity_difference(const std::string& now, const std::string& before);

}  // namespace trireme
