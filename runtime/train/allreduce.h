// Synchronous data parallelism: every rank ends each step with the same gradients and updates all parameters
// itself.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "exec/arenas.h"
#include "optim/optimizer.h"
#include "train/exchanger.h"
#include "train/strategy.h"

namespace trireme {

struct AllReduceOptions {
  size_t bucket_bytes = size_t{4} << 20;
  double clip_norm = 0;  // 0: no clipping
};

// 1. As ranges become ready they gather until a bucket of bucket_bytes is full; buckets lie at multiples of
// their size,
//    so that all ranks cut alike however their programs report.
// 2. A full bucket is summed over all ranks in place. Each rank's gradients are already its share of the
// global mean, so
//    the sum is the gradient of the mean over the global batch, exactly also where local batches differ or
//    are empty. The statistics behind the gradients ride in the last bucket. On the wire a ring would carry 2
//    (p - 1) / p * 4 bytes a parameter and rank, which is the least possible.
// 3. finish_exchange() sums the rest and takes the global norm.
// 4. update() clips by it, updates every range, and moves running means.
// Buckets go through the exchanger, in its thread where it has one. A group of one exchanges nothing.
class AllReduceStrategy : public Strategy, private ExchangeWork {
 public:
  // `arenas` must be float32 and outlive the strategy, like `communicator`; jobs in `exchanger`, which is
  // done with them before the strategy goes, use both.
  AllReduceStrategy(Arenas& arenas, Communicator& communicator, Exchanger& exchanger,
                    std::unique_ptr<Optimizer> optimizer, const AllReduceOptions& options);

  std::string name() const override { return "allreduce"; }
  void begin_step(const StepSettings& settings) override;
  // Throws CommError when a rank is lost, GraphError when ranges leave a gap.
  void range_ready(Range range) override;
  // The same; also when a part of the arena has never become ready.
  StepReport finish_exchange() override;
  void update() override;
  std::vector<StateSlot> state_slots() override;

 private:
  Range bucket(size_t number) const;
  void exchange(size_t bucket_number) override;
  void move_running_means();

  Arenas& arenas_;
  Communicator& communicator_;
  Exchanger& exchanger_;
  std::unique_ptr<Optimizer> optimizer_;
  size_t bucket_elements_;
  size_t buckets_;  // of a step
  double clip_norm_;
  StepSettings settings_;
  double norm_ = 0;       // of the step's gradients, where it was taken
  size_t ready_ = 0;      // gradients [0, ready_) are final on this rank
  size_t submitted_ = 0;  // buckets on their way
};

}  // namespace trireme
