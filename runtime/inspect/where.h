// What a user names on the command line, found on the disk: a run, or one checkpoint of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/reader.h"

namespace trireme {

struct WhereOptions {
  std::string run_directory = {};           // of a CONFIG.toml; empty: runs/<run.name>
  std::optional<int64_t> step = {};         // of a run
  std::vector<std::string> overrides = {};  // of a CONFIG.toml
};

struct Where {
  std::filesystem::path checkpoints;                // the folder of the run's checkpoints
  std::optional<std::filesystem::path> checkpoint;  // one of them, where one was named
};

// `text` is a run directory, its folder checkpoints/, a checkpoint's folder, a CONFIG.toml, or one of the
// first two or the last with ":STEP" behind it. Nothing is read but a config. Throws MissingInputError naming
// what is not there (of a step: the steps that are), UsageError for options that do not go with it,
// ConfigError.
Where find_where(const std::string& text, const WhereOptions& options = {});

// The checkpoint that was named, or the run's newest good one; bad ones that are passed over are told to
// `warn`. Throws CheckpointError, MissingInputError, IoError.
Checkpoint open_where(const Where& where, const std::function<void(const std::string&)>& warn);

// Of a checkpoint's folder: when its manifest was written, in seconds of the system's clock; 0 where there is
// none.
int64_t written_at(const std::filesystem::path& checkpoint);

}  // namespace trireme
