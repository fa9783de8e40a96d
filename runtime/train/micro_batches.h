// How a global batch becomes the pieces that a rank computes one after another: micro-batches of its share,
// or the shards of virtual ranks; and in which order the pieces' gradients are summed.
#pragma once

#include <cstdint>

#include "base/range.h"

namespace trireme {

// Samples [first, first + count) of a rank's share, and what happens to their gradients.
struct MicroBatch {
  int64_t first = 0;
  int64_t count = 0;  // a shard may have none
  int merges = 0;     // of the sums kept so far, the newest this many are added, each from the left
  bool ends = true;   // the last piece: the result is the rank's, else it is kept as the newest sum
  bool operator==(const MicroBatch&) const = default;
};

// Who shares a batch, and how.
struct Sharing {
  int64_t rank = 0;
  int64_t ranks = 1;
  int64_t micro_batches = 1;  // pieces of a share
  int64_t virtual_ranks = 0;  // a power of two and a multiple of `ranks`, itself a power of two; 0: none

  // Sums that are kept at once, at most.
  int most_sums() const;
};

// The pieces of this rank's share of a batch of `global_count` samples.
//
// Micro-batches: as many as asked for, or as there are samples; summed from left to right.
//
// Virtual ranks: the batch is cut into V shards, of which a rank has V / ranks that follow each other. They
// are summed along the tree of comm/reduce.h, the way a binary counter carries: shard i (from 0) takes in as
// many kept sums as i has trailing one bits. What comes out is a node of the tree over all V shards, and the
// reduction over ranks is the rest of it. Shards without samples count as zeros.
class Pieces {
 public:
  Pieces(int64_t global_count, const Sharing& sharing);
  // 0 where the rank has no sample at all.
  int64_t count() const { return count_; }
  MicroBatch operator[](int64_t index) const;

 private:
  int64_t global_count_;
  Sharing sharing_;
  Range share_;
  int64_t count_;
};

}  // namespace trireme
