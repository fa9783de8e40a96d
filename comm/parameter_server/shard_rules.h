// What a shard asks of whoever knows what an update does: train/ over its optimizers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/range.h"

namespace trireme {

// The values that workers pull and their optimizer slots, or the copy of both that a cut makes.
enum class ShardState : uint8_t { live, cut };

struct UpdateInfo {
  int64_t clock = 0;
  int32_t piece = 0;  // 0 where a whole clock is applied at once
  int32_t pieces_added =
      1;  // of the clock, in this gradient: all of them where a whole clock is applied at once
  uint64_t staleness = 0;  // updates of the shard between the pull and this update
};

// Called by several threads at once, for different blocks; for one block in the order of updates.
class ShardRules {
 public:
  virtual ~ShardRules() = default;

  // Applies an update to elements [block.begin, block.end) of the shard. `values`: the first element of the
  // shard's vector, live or cut. `gradient`: dense float32, gradient[0] belongs to block.begin (elastic
  // averaging: the difference). `pulled`: the block's parameters that the gradient was computed with
  // (float32_with_parameters), else nullptr. Blocks are numbered as in ShardLayout; the last one may be the
  // states, whose gradient is the tail.
  virtual void update(size_t block_index, Range block, float* values, const float* gradient,
                      const float* pulled, const UpdateInfo& info, ShardState which) = 0;
  // Copies the optimizer's slots of the block: live to cut.
  virtual void copy_slots(size_t block_index, Range block) = 0;
};

}  // namespace trireme
