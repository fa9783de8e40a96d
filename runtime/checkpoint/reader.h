// Loading: nothing is believed before its hash has been checked.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/content.h"

namespace trireme {

struct CheckpointEntry {
  int64_t step = 0;
  std::filesystem::path directory;
};

// The folders step-* below `checkpoints` that have a manifest, newest first; not verified. Empty when the
// folder does not exist.
std::vector<CheckpointEntry> list_checkpoints(const std::filesystem::path& checkpoints);

// A verified checkpoint, held in memory.
class Checkpoint {
 public:
  // Reads the manifest and all files that it names, and verifies sizes and hashes before anything is
  // believed. Throws CheckpointError naming the file and the fault, IoError when it cannot be read.
  explicit Checkpoint(const std::filesystem::path& directory);
  ~Checkpoint();
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;

  const std::filesystem::path& directory() const { return directory_; }
  // All of it, tensors sorted by name; the values live as long as this.
  const CheckpointContent& content() const { return content_; }
  const CheckpointRun& run() const { return content_.run; }
  // Which start of the run wrote it; 0 where that is not known.
  int64_t start() const { return start_; }
  uint64_t bytes() const { return bytes_; }  // of its files

  // Fill each tensor by its name. A missing tensor or a different shape is a CheckpointError naming it; all
  // are checked before the first is filled. Tensors that are in the checkpoint alone are left out.
  void load_parameters(std::span<const MutableTensor> tensors) const;
  void load_slot(const std::string& slot, std::span<const MutableTensor> tensors) const;
  void load_states(std::span<const MutableTensor> tensors) const;
  // Names of the optimizer slots, sorted.
  std::vector<std::string> slots() const;

 private:
  // Files in memory, and values that could not be taken where they lie in them.
  struct Memory;
  std::filesystem::path directory_;
  CheckpointContent content_;
  int64_t start_ = 0;
  uint64_t bytes_ = 0;
  std::unique_ptr<Memory> memory_;
};

// The newest checkpoint below `checkpoints` that verifies. Each newer one that does not is told to `warn`
// (which one, and why). None at all: nullopt. Some, but all bad: CheckpointError (start afresh with --fresh),
// since to begin again silently would throw work away.
std::optional<Checkpoint> open_newest_checkpoint(const std::filesystem::path& checkpoints,
                                                 const std::function<void(const std::string&)>& warn);

}  // namespace trireme
