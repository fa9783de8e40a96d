// Which rank updates what where the optimizer is sharded (ZeRO stage 1: Rajbhandari et al., "ZeRO: memory
// optimizations toward training trillion parameter models", arXiv 1910.02054).
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "base/range.h"
#include "comm/communicator.h"
#include "optim/optimizer.h"

namespace trireme {

// A stretch of an arena, cut into one block a rank, in the order of ranks; blocks may be empty.
struct Blocks {
  Range range = {};
  std::vector<size_t> bounds = {};  // ranks + 1 of them, counted from range.begin: 0, ..., range.size()
  Range block(int rank) const {
    auto r = static_cast<size_t>(rank);
    return {range.begin + bounds[r], range.begin + bounds[r + 1]};
  }
};

// Both lists follow each other without gaps from 0 to the parameter arena's end, or are empty.
struct Shards {
  // Where rules may be cut anywhere: buckets that are reduced and scattered as they become ready, the same as
  // `parameters`. Empty for rules that move whole tensors: those need a cut that has nothing to do with
  // buckets, in which a bucket would mostly belong to one rank, so every rank gets all of the gradients.
  std::vector<Blocks> gradients;
  // What is updated, each block by its rank, and then gathered.
  std::vector<Blocks> parameters;
};

// Cut::anywhere: buckets of about `bucket_elements`, a multiple of norm_block a rank, so that every rank has
// equal blocks, but in the last, and sums of squares keep the order that they have without shards. An arena
// of fewer than ranks * norm_block elements leaves some ranks without a part. Cut::at_tensors: one run of
// whole spans a rank, such that the longest run is as short as can be; a tensor of more than a rank's part
// makes the rank that has it the longest. `spans` follow each other from 0 on.
Shards make_shards(std::span<const UpdateSpan> spans, Cut cut, size_t bucket_elements, int ranks);

// The blocks of `rank`, without the empty ones.
std::vector<Range> owned_ranges(std::span<const Blocks> all, int rank);

// The spans, or parts of them, that lie in `owned`, both rising.
std::vector<UpdateSpan> owned_spans(std::span<const UpdateSpan> spans, std::span<const Range> owned);

// Collective: hands every rank's values (`own`: its blocks, one behind the other) to `take`, in pieces of at
// most `piece_elements`, the only memory that is needed for it. All ranks see all pieces, so (p - 1) / p of
// the arena on the wire a rank.
void collect_blocks(Communicator& communicator, std::span<const Blocks> all, size_t piece_elements,
                    std::span<const float> own,
                    const std::function<void(Range range, const float* values)>& take);
// Collective: the way back. `own` is filled on every rank.
void spread_blocks(Communicator& communicator, std::span<const Blocks> all, size_t piece_elements,
                   const float* whole, std::span<float> own);

}  // namespace trireme
