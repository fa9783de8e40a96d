// Loading: nothing is believed before its hash has been checked.
#pragma once

#include <cstddef>
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
  // Reads the manifest and state.h5 and verifies size and hash. Throws CheckpointError naming the file and
  // the fault, IoError when it cannot be read.
  explicit Checkpoint(const std::filesystem::path& directory);
  ~Checkpoint();
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;

  const std::filesystem::path& directory() const { return directory_; }
  const CheckpointRun& run() const { return run_; }

  // Fill each tensor by its name. A missing tensor or a different shape is a CheckpointError naming it; all
  // are checked before the first is filled. Tensors that are in the checkpoint alone are left out.
  void load_parameters(std::span<const MutableTensor> tensors) const;
  void load_slot(const std::string& slot, std::span<const MutableTensor> tensors) const;
  void load_states(std::span<const MutableTensor> tensors) const;
  // Names of the optimizer slots, sorted.
  std::vector<std::string> slots() const;

 private:
  struct File;
  void load(const std::string& group, std::span<const MutableTensor> tensors) const;
  std::filesystem::path directory_;
  CheckpointRun run_;
  std::unique_ptr<File> file_;
};

// The newest checkpoint below `checkpoints` that verifies. Each newer one that does not is told to `warn`
// (which one, and why). None at all: nullopt. Some, but all bad: CheckpointError (start afresh with --fresh),
// since to begin again silently would throw work away.
std::optional<Checkpoint> open_newest_checkpoint(const std::filesystem::path& checkpoints,
                                                 const std::function<void(const std::string&)>& warn);

}  // namespace trireme
