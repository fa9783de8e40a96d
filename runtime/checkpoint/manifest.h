// manifest.json: names a checkpoint's files with their sizes and hashes. Internal to the room.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/content.h"

namespace trireme {

// Of a build that is newer than this one: to pass it over would throw away what that build has done.
struct NewerFormatError : CheckpointError {
  using CheckpointError::CheckpointError;
};

struct ManifestFile {
  std::string name;  // inside the checkpoint's folder
  uint64_t bytes = 0;
  std::string hash;  // by manifest.hash_name
};

// Version 1 hashed files by SHA-256 and had no hash of its own; version 2 has both by XXH3 (128 bits).
struct Manifest {
  // What this build writes, and the newest that it reads.
  static constexpr int64_t current_version = 2;
  static constexpr const char* file_name = "manifest.json";

  int64_t version = current_version;
  int64_t step = 0;
  int64_t epoch = 0;
  int64_t start = 0;                               // which start of the run wrote it; 0: version 1
  std::optional<CheckpointValidation> validation;  // of this very step, or earlier
  std::vector<ManifestFile> files;
};

// Of the current version.
std::string manifest_json(const Manifest& manifest);

// Reads `directory`/manifest.json. Throws CheckpointError naming it and what is wrong (torn, a flipped bit,
// not JSON, a field that is missing or of the wrong type, a file name that points out of the folder),
// NewerFormatError.
Manifest read_manifest(const std::filesystem::path& directory);

// "step-0000000938"
std::string step_folder_name(int64_t step);
// The step of such a name, or -1.
int64_t step_of_folder_name(const std::string& name);

}  // namespace trireme
