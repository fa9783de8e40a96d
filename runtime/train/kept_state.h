// A run's whole state in memory: parameters, optimizer, running statistics and position; what a checkpoint
// holds, without a file. For trials that pause and for population-based training.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "train/session.h"

namespace trireme {

struct KeptState {
  RunPosition position;
  LossScaleState loss_scale = {.scale = 0};  // 0: the run computes without one
  // A checkpoint of the run that left it holds the same: a run that begins from it need not save it first.
  bool saved = false;
  // Nets, names, shapes and places of all tensors, a line each, to be compared before values are taken over:
  // two states of the same layout have pieces of the same lengths.
  std::string layout;
  // Of each net its parameters, its states, and each slot of its optimizer; float32.
  std::vector<Buffer> pieces;

  bool empty() const { return pieces.empty(); }
  size_t bytes() const;
  std::vector<std::span<const std::byte>> views() const;
  std::vector<std::span<std::byte>> room();
};

// All of a state but its values, for a rank that shall get these: JSON.
std::string describe_state(const KeptState& state);
// Makes `state` one to which such a description fits, values to come (into room()); `saved` is false. Its
// memory is used again where it fits. Throws DataError for a text that is none.
void make_room(std::string_view description, KeptState* state);

// Collective: copies the session's state at `position` to rank 0's `state` (null elsewhere), whose memory is
// used again where it fits.
void keep_state(Session& session, const RunPosition& position, KeptState* state);
struct Taken {
  RunPosition position;
  bool saved = false;  // as in the state
};
// Collective: rank 0's `state` into the session of all ranks. The number of ranks may be another than when it
// was kept. Throws CheckpointError on all ranks, naming the tensor, when it is another model's or
// optimizer's.
Taken take_state(Session& session, const KeptState* state);

}  // namespace trireme
