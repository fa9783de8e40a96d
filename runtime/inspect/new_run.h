// A run directory that is made at once, with one checkpoint in it.
#pragma once

#include <filesystem>

#include "checkpoint/content.h"

namespace trireme {

// UsageError when the directory holds checkpoints already: they would be another run's.
void require_no_checkpoints(const std::filesystem::path& run_directory);

// Writes config.toml and the checkpoint, and returns the checkpoint's folder. UsageError as above; IoError.
std::filesystem::path make_run(const std::filesystem::path& run_directory, const CheckpointContent& content);

}  // namespace trireme
