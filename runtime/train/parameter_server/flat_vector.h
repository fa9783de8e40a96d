// What servers hold, as one vector: the parameter arenas of all nets one behind the other, and then their
// state arenas; and how it is shared out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/range.h"
#include "comm/parameter_server/shard.h"
#include "config/config.h"
#include "graph/arena_layout.h"
#include "train/learner.h"

namespace trireme {

// A net as far as the vector is concerned; what it refers to outlives it.
struct FlatNet {
  const ArenaLayout& layout;
  const OptimizerConfig& optimizer;
};
std::vector<FlatNet> flat_nets(const Learner& learner);

// Elements of one of a net's arenas, and where they lie in a shard's vector (statistics: in a push's tail).
struct FlatSpan {
  size_t net = 0;
  Range range = {};
  size_t at = 0;
  bool operator==(const FlatSpan&) const = default;
};

struct FlatShard {
  Range range = {};                       // of the flat vector's parameters
  std::vector<FlatSpan> parameters = {};  // a span for each net that has some here, from 0 on without gaps
  std::vector<FlatSpan> states = {};      // shard 0 alone: of all nets, behind the parameters
  std::vector<FlatSpan> statistics = {};  // shard 0 alone: of gradient arenas
  ShardLayout layout = {};  // a block lies within one net, and holds whole tensors where its rule moves such
};

// What lies behind a push's gradient, on shard 0: the nets' statistics, or what the states move by.
enum class PushTail : uint8_t { statistics, states };

// As equal shards as boundaries at multiples of arena_alignment allow (or at tensors, in nets whose rule
// takes norms of whole ones: lamb, lars), in the vector's order. Blocks have about `block_elements`. Throws
// ConfigError where there would be shards without parameters.
std::vector<FlatShard> cut_flat_vector(std::span<const FlatNet> nets, size_t shards, PushTail tail,
                                       size_t block_elements = size_t{64} << 10);

// `vector`: shard.layout.size() floats.
// The learner's parameters and states as a shard has them.
void take_values(const FlatShard& shard, const Learner& learner, std::span<float> vector);
// The way back. Call learner.parameters_changed() when all shards are in.
void put_values(const FlatShard& shard, std::span<const float> vector, Learner& learner);

// The gradients and statistics of a learner's last step as a push of one shard carries them: the arenas' own
// memory, or, where a shard has something of several nets, a copy.
class ShardGradient {
 public:
  // `shard` and `learner` outlive it.
  ShardGradient(const FlatShard& shard, const Learner& learner);
  // After a step: what values() and statistics() show is the step's.
  void collect();
  std::span<const float> values() const { return values_; }          // layout.elements()
  std::span<const float> statistics() const { return statistics_; }  // empty but on shard 0

 private:
  std::span<const float> show(const std::vector<FlatSpan>& spans, Buffer& memory) const;
  void copy(const std::vector<FlatSpan>& spans, Buffer& memory) const;

  const FlatShard& shard_;
  const Learner& learner_;
  Buffer value_memory_, statistic_memory_;  // empty where the arenas serve
  std::span<const float> values_, statistics_;
};

}  // namespace trireme
