// A run's whole state in memory: parameters, optimizer, running statistics and position; what a checkpoint
// holds, without a file. For trials that pause and for population-based training.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "train/session.h"

namespace trireme {

struct KeptState {
  RunPosition position;
  // Names and shapes of all tensors, to be compared before values are taken over: two states of the same
  // layout have pieces of the same lengths.
  std::string layout;
  std::vector<Buffer> pieces;  // float32

  bool empty() const { return pieces.empty(); }
  size_t bytes() const;
  std::vector<std::span<const std::byte>> views() const;
  std::vector<std::span<std::byte>> room();
};

// Collective: copies the session's state at `position` to rank 0's `state`, whose memory is used again where
// it fits.
void keep_state(Session& session, const RunPosition& position, KeptState* state);
// Collective: rank 0's `state` into the session of all ranks, `position` into the caller's. Throws
// CheckpointError naming the tensor when it is another model's.
RunPosition take_state(Session& session, const KeptState* state);

}  // namespace trireme
