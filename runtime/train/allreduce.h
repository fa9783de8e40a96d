// Synchronous data parallelism: every rank ends each step with the same parameters, either since it has got
// the same gradients and updates all of them itself, or since it updates its part and gets the others'.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "exec/arenas.h"
#include "optim/optimizer.h"
#include "train/exchanger.h"
#include "train/shards.h"
#include "train/strategy.h"

namespace trireme {

struct AllReduceOptions {
  size_t bucket_bytes = size_t{4} << 20;
  double clip_norm = 0;  // 0: no clipping
  int threads = 1;       // of the thread that steps: for norms and updates
};

// 1. As ranges become ready they gather until a bucket of bucket_bytes is full; buckets lie at multiples of
// their size,
//    so that all ranks cut alike however their programs report.
// 2. A full bucket is summed over all ranks in place. Each rank's gradients are already its share of the
// global mean, so
//    the sum is the gradient of the mean over the global batch, exactly also where local batches differ or
//    are empty. The statistics behind the gradients ride in the last bucket. On the wire a ring would carry 2
//    (p - 1) / p * 4 bytes a parameter and rank, which is the least possible.
// 3. finish_exchange() waits for the rest and takes the global norm.
// 4. update() clips by it, updates every range, and moves running means.
// Buckets go through the exchanger, in its thread where it has one. A group of one exchanges nothing.
//
// With shards (ZeRO stage 1) a rank has the optimizer's state of its blocks alone:
//
// 2. A full bucket is reduced and scattered: each rank gets the sums of its block of it. The statistics
// travel
//    by themselves, to all. (Rules that move whole tensors: as without shards.)
// 3. Each rank takes the sums of squares of its part by blocks of norm_block; the blocks' sums are gathered
// and
//    added up in the arena's order. Without clipping, one number tells whether any rank's part has a nan.
// 4. Each rank updates its blocks; as soon as those of a bucket are done the bucket is gathered.
// On the wire the same 2 (p - 1) / p * 4 bytes a parameter (whole tensors: 3 (p - 1) / p * 4). Every value is
// made by the same operations in the same order as without shards: the same bits.
class AllReduceStrategy : public Strategy, private ExchangeWork {
 public:
  // `arenas` must be float32 and outlive the strategy, like `communicator` and `exchanger`. `shards` are
  // empty, or the spans of `optimizer` are what they give to this rank.
  AllReduceStrategy(Arenas& arenas, Communicator& communicator, Exchanger& exchanger,
                    std::unique_ptr<Optimizer> optimizer, const AllReduceOptions& options,
                    Shards shards = {});
  // A step that failed may have left jobs behind.
  ~AllReduceStrategy() override { exchanger_.stop(); }

  std::string name() const override { return "allreduce"; }
  void begin_step(const StepSettings& settings) override;
  // Throws CommError when a rank is lost, GraphError when ranges leave a gap.
  void range_ready(Range range) override;
  // The same; also when a part of the arena has never become ready.
  StepReport finish_exchange() override;
  ExchangeSeconds update() override;
  WholeState whole_state(bool holds) override;
  void collect_state(const StateSink& sink) override;
  void spread_state(const WholeState& state) override;
  void restart() override;
  size_t state_bytes() override;
  void collect_gradients() override;

 private:
  void cut_buckets();
  // Jobs: the buckets, then what ranks tell each other of their parts' norms, then gathering
  // shards_.parameters.
  void exchange(size_t job) override;
  size_t first_gather() const { return buckets_.size() + 1; }
  void exchange_verdict();
  bool gradients_are_finite(ExchangeSeconds& seconds);
  double gradients_square_sum(ExchangeSeconds& seconds);
  std::vector<Range> cut_at(size_t begin, size_t end) const;

  Arenas& arenas_;
  Communicator& communicator_;
  Exchanger& exchanger_;
  std::unique_ptr<Optimizer> optimizer_;
  size_t bucket_elements_;
  double clip_norm_;
  int threads_;
  Shards shards_;
  std::vector<Range> buckets_;         // of a step; those of shards_.gradients come first
  std::vector<Range> owned_;           // of the gradients that the rank has got once they are scattered
  std::vector<size_t> square_bounds_;  // by rank: where the sums of its norm blocks lie in square_sums_
  std::vector<size_t> square_cursors_;
  std::vector<double> square_sums_;
  float broken_ = 0;  // 1: a gradient of some rank's part is no number
  StepSettings settings_;
  double norm_ = 0;       // of the step's gradients, where it was taken
  size_t ready_ = 0;      // gradients [0, ready_) are final on this rank
  size_t submitted_ = 0;  // buckets on their way
  bool finite_ = true;    // what one rank has found of them, without clipping
};

}  // namespace trireme
