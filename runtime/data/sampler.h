// Which samples are in which step. The order of an epoch is a function of (seed, epoch) alone and the batch
// is global, so a run may go on with another number of ranks; ranks only share a step's samples out.
#pragma once

#include <cstdint>
#include <vector>

#include "base/range.h"

namespace trireme {

// Part `part` of `parts` of 0..count-1: contiguous, in order, sizes differing by one at most (the first parts
// are the longer ones), empty where there are more parts than elements.
Range slice_of(int64_t count, int64_t part, int64_t parts);

// The part of a global batch of `count` samples that `rank` of `ranks` computes: its slice_of, or, where
// there are `virtual_ranks` (a multiple of `ranks`; 0: none), the slices of its virtual ranks, which follow
// each other.
Range share_of(int64_t count, int64_t rank, int64_t ranks, int64_t virtual_ranks);

// Steps of one epoch; the last may be smaller. samples >= 0, batch >= 1.
int64_t steps_per_epoch(int64_t samples, int64_t batch);

// Where a global step lies.
struct EpochPosition {
  int64_t epoch;
  int64_t step;  // in the epoch
  bool operator==(const EpochPosition&) const = default;
};
EpochPosition position_of(int64_t global_step, int64_t steps_in_epoch);

// Places [k * batch, min(samples, (k + 1) * batch)) in the order of the epoch: the samples of its step k.
Range batch_of(int64_t step_in_epoch, int64_t samples, int64_t batch);

// The order in which an epoch visits the samples: a random permutation, or 0, 1, 2, ... without shuffling.
class EpochOrder {
 public:
  // DataError when there are 2^32 samples or more.
  EpochOrder(int64_t samples, uint64_t seed, int64_t epoch, bool shuffle);
  int64_t size() const { return samples_; }
  // The sample at `place` in [0, size()).
  int64_t operator[](int64_t place) const {
    return order_.empty() ? place : static_cast<int64_t>(order_[static_cast<size_t>(place)]);
  }

 private:
  int64_t samples_;
  std::vector<uint32_t> order_;  // empty: the identity
};

}  // namespace trireme
