#include "checkpoint/writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/hash.h"
#include "checkpoint/manifest.h"
#include "checkpoint/reader.h"
#include "checkpoint/state_file.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

// Tidying up must not fail a save: what cannot be removed today is tried again at the next save.
void remove_quietly(const fs::path& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

// First the manifest, made durable, so that a kill in between leaves a leftover and not a checkpoint with
// files missing.
void delete_checkpoint(const fs::path& directory) {
  std::error_code error;
  fs::remove(directory / Manifest::file_name, error);
  if (error) return;
  try {
    sync_directory(directory);
  } catch (const IoError&) {
    return;
  }
  remove_quietly(directory);
}

std::vector<fs::path> entries(const fs::path& directory) {
  std::vector<fs::path> found;
  std::error_code error;
  for (auto entry = fs::directory_iterator(directory, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    found.push_back(entry->path());
  }
  return found;
}

// Folders without a manifest, and files that their folder's manifest does not name: all from writers that
// were killed.
void remove_leftovers(const fs::path& checkpoints) {
  for (const fs::path& directory : entries(checkpoints)) {
    if (step_of_folder_name(directory.filename().string()) < 0) continue;
    if (!fs::exists(directory / Manifest::file_name)) {
      remove_quietly(directory);
      continue;
    }
    Manifest manifest;
    try {
      manifest = read_manifest(directory);
    } catch (const Error&) {
      continue;  // a damaged one stays to be looked at, until `keep` lets it go
    }
    for (const fs::path& file : entries(directory)) {
      std::string name = file.filename().string();
      bool named =
          name == Manifest::file_name || std::any_of(manifest.files.begin(), manifest.files.end(),
                                                     [&](const auto& one) { return one.name == name; });
      if (!named) remove_quietly(file);
    }
  }
}

}  // namespace

fs::path save_checkpoint(const fs::path& checkpoints, const CheckpointContent& content, int keep) {
  std::vector<std::byte> image = build_state_file(content);
  make_directories(checkpoints);
  remove_leftovers(checkpoints);

  fs::path directory = checkpoints / step_folder_name(content.run.step);
  bool replaces = fs::exists(directory / Manifest::file_name);
  // A checkpoint of this step stays whole until the new manifest is renamed over the old one: so the new
  // state goes under a name that the old manifest does not use.
  std::string state_name = fs::exists(directory / "state.h5") ? "state-2.h5" : "state.h5";
  try {
    make_directories(directory);
    sync_directory(checkpoints);
    write_file_atomically(directory / state_name, image);
    Manifest manifest{content.run.step, content.run.epoch, {{state_name, image.size(), sha256_hex(image)}}};
    write_file_atomically(directory / Manifest::file_name, manifest_json(manifest));
  } catch (...) {
    remove_quietly(replaces ? directory / state_name : directory);
    throw;
  }

  // A run goes forward: a checkpoint with a later step belongs to a past that was given up (it was damaged
  // and the run fell back, or the run began afresh), and must not be what the next start resumes from.
  int kept = 0;
  for (const CheckpointEntry& entry : list_checkpoints(checkpoints)) {
    bool ahead = entry.step > content.run.step;
    if (ahead || (keep > 0 && kept >= keep)) {
      delete_checkpoint(entry.directory);
    } else {
      ++kept;
    }
  }
  remove_leftovers(checkpoints);
  return directory;
}

}  // namespace trireme
