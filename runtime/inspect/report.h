// What a command finds out, for people and for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "checkpoint/content.h"

namespace trireme {

struct Report {
  std::string text;             // for people; lines, each ended
  nlohmann::ordered_json json;  // for programs; numbers that are none (nan) become null
  bool bad = false;             // something was found to be damaged: exit code 65
};

// "loss 0.4058, accuracy 0.8473", and the same as an object with step and epoch.
std::string validation_text(const CheckpointValidation& validation);
nlohmann::ordered_json validation_json(const CheckpointValidation& validation);

// "1 checkpoint", "2 checkpoints".
std::string counted(int64_t number, const std::string& thing);

}  // namespace trireme
