// What an update of a shard does, by the mode of [parallel.parameter_server].
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "comm/parameter_server/shard_rules.h"
#include "config/config.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "train/learner.h"
#include "train/parameter_server/flat_vector.h"

namespace trireme {

struct UpdateRuleOptions {
  int64_t pieces = 1;               // P, of each clock
  double learning_rate_factor = 1;  // on top of the schedule
  int64_t skipped_steps = 0;        // of those before the first clock: they made no update
};

// The values of an optimizer's slot that a shard has of one net: elements `range` of its parameter arena.
struct ShardSlot {
  size_t net = 0;
  std::string name = {};
  Range range = {};
  std::span<float> live = {};
  std::span<float> cut = {};
};

// Gradients are shares of the global mean. Let a = pieces_added / P: an update with a whole clock has a = 1,
// one with a single piece a = 1 / P, so that P of them move about as far as the whole does. t is the number
// of updates before this one, for bias corrections: the clock's number, or the ticket's, c * P + p.
//
//   ssp, async   w = optimizer(w, gradient / a, learning_rate(clock) * a, t)
//   dcasgd       the same with g + lambda * g * g * (w - w_pulled), g = gradient / a (DC-ASGD-c, Zheng et al.
//                2017, equation 10)
//   easgd        w = w + difference (the centre's move: Zhang et al. 2015, equation 6)
//
// With scale_by_staleness the rate is divided by max(1, staleness / P) (Zhang et al. 2016). With a = 1 the
// bits are those of AllReduceStrategy, which has the same sum. States: see move_running_means(); easgd adds
// what it is given there too.
class ShardUpdateRules : public ShardRules {
 public:
  // Slots begin at zero. `nets`' layouts outlive it; throws ConfigError like update_spans().
  ShardUpdateRules(const Config& config, const RunLength& length, std::span<const FlatNet> nets,
                   const FlatShard& shard, const UpdateRuleOptions& options);

  // Throws CommError where dcasgd is given no parameters.
  void update(size_t block_index, Range block, float* values, const float* gradient, const float* pulled,
              const UpdateInfo& info, ShardState which) override;
  void copy_slots(size_t block_index, Range block) override;

  // In the order of nets and of their optimizers' slots; none in easgd, whose optimizers are the workers'.
  std::vector<ShardSlot> slots();

 private:
  struct OfNet {
    size_t number;
    const ArenaLayout& layout;
    OptimizerConfig optimizer;
    FlatSpan parameters;  // empty range: none here
    std::unique_ptr<Optimizer> live, cut;
  };

  void update_states(float* values, const float* tail, double share) const;
  // The gradient as DC-ASGD corrects it.
  const float* corrected(Range block, const float* values, const float* gradient, const float* pulled,
                         double share);
  OfNet& net_at(size_t element);

  ParameterServerConfig mode_;
  ScheduleConfig schedule_;
  RunLength length_;
  UpdateRuleOptions options_;
  FlatShard shard_;
  std::vector<OfNet> nets_;
  Buffer corrected_;  // dcasgd: as long as the shard's parameters; each block is one thread's
};

// Slots of the learner (a run of one rank, with all of its optimizers' state) and of a shard. Throw
// CheckpointError where one has a slot that the other lacks.
void take_slots(Learner& learner, ShardUpdateRules& rules);  // to the live ones
void put_slots(ShardUpdateRules& rules, ShardState which, Learner& learner);
// All of the learner's slots become zero: what an easgd run's server does once, so that its checkpoints do
// not hold what an earlier mode has left.
void clear_slots(Learner& learner);

}  // namespace trireme
