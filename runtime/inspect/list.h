// ls: a row a checkpoint, each read and verified.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/content.h"
#include "inspect/report.h"
#include "inspect/where.h"

namespace trireme {

enum class CheckpointState { good, damaged, unfinished };

struct ListedCheckpoint {
  int64_t step = 0;
  std::filesystem::path directory;
  CheckpointState state = CheckpointState::good;
  std::string fault = {};  // of a damaged one
  uint64_t bytes = 0;      // of all files in the folder
  int64_t written = 0;     // seconds of the system's clock; 0 where there is no manifest
  // Where they are known (a damaged manifest tells nothing).
  std::optional<int64_t> epoch = {};
  std::optional<int64_t> start = {};  // of the run, from 1
  std::optional<int> ranks = {};      // that the run had
  std::optional<CheckpointValidation> validation = {};
};

// The run's, newest first, those that are damaged and folders without a manifest included; or the one that
// was named. IoError.
std::vector<ListedCheckpoint> list_with_states(const Where& where);

Report list_report(const Where& where);

}  // namespace trireme
