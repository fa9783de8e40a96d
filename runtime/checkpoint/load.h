// Loading a run: straight from the disk to where the values belong, verified on the way.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/content.h"

namespace trireme {

// A whole checkpoint that is not of this run: names or shapes differ.
struct CheckpointMismatch : CheckpointError {
  using CheckpointError::CheckpointError;
};

struct SlotTarget {
  std::string name;
  std::vector<MutableTensor> tensors;
};

// The places that a run has; all are to be filled.
struct LoadTargets {
  std::vector<MutableTensor> parameters;
  std::vector<SlotTarget> slots;
  std::vector<MutableTensor> states;
};

struct LoadedCheckpoint {
  std::filesystem::path directory;
  CheckpointRun run;
  bool has_slots = true;  // false: imported parameters of step 0; slots were left as they are
};

// Fills `targets` from the newest checkpoint below `checkpoints` that is whole, in one pass: a block is
// hashed and its values are put where they belong while the next is read, so loading takes no memory of its
// own. Each newer one that is damaged is told to `warn` (which one, and why); what it has filled until its
// hash showed it is overwritten by the next. None at all: nullopt, and nothing was touched. Some, but all
// bad: CheckpointError (start afresh with --fresh), since to begin again silently would throw work away.
// CheckpointMismatch names the tensor or slot that does not fit, before anything is filled.
std::optional<LoadedCheckpoint> load_newest_checkpoint(const std::filesystem::path& checkpoints,
                                                       const LoadTargets& targets,
                                                       const std::function<void(const std::string&)>& warn);

// Reads every byte of a checkpoint from the disk and compares hashes, with no memory to speak of. Throws
// CheckpointError naming the file and the fault, MissingInputError, IoError.
void require_good_checkpoint(const std::filesystem::path& directory);

}  // namespace trireme
