// How a rank's share of a batch is cut into the pieces that it is computed in.
#pragma once

#include <cstdint>

namespace trireme {

// Samples [first, first + count) of the share.
struct MicroBatch {
  int64_t first = 0;
  int64_t count = 0;   // >= 1
  bool starts = true;  // the first piece of its step
  bool ends = true;    // the last one
  bool operator==(const MicroBatch&) const = default;
};

// Number of pieces: `micro_batches`, or fewer where there are fewer samples; 0 for no samples.
int64_t piece_count(int64_t samples, int64_t micro_batches);
// Piece `index` of `pieces`: contiguous, in order, sizes differing by one at most, the longer ones first.
MicroBatch piece_of(int64_t samples, int64_t index, int64_t pieces);

}  // namespace trireme
