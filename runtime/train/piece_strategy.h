// For the workers of a parameter server: a piece's gradients stay where they are, ready to be pushed.
#pragma once

#include <string>

#include "exec/arenas.h"
#include "train/strategy.h"

namespace trireme {

// Gradients and statistics are exchanged and applied by others: finish_exchange() makes the gradients ready
// for it, update() does nothing, and there is no state.
//
// 1. The norm is that of the piece's own mean: gradients hold the piece's share of the global mean, hence
//    |gradients| / sample_share.
// 2. With clipping, a norm above `clip_norm` scales the gradients down. (A step of all-reduce clips the sum
//    of all pieces, which nobody here ever sees: the mean of clipped pieces is at most as long, and with one
//    piece the same.)
// 3. float16's loss scale is divided out, so that what is pushed does not depend on it.
class PieceStrategy : public Strategy {
 public:
  // `arenas` must be float32 and outlive the strategy. clip_norm 0: no clipping. `threads` take the norm.
  PieceStrategy(Arenas& arenas, double clip_norm, int threads = 1);

  std::string name() const override { return "parameter_server"; }
  void begin_step(const StepSettings& settings) override;
  // Throws GraphError when ranges leave a gap.
  void range_ready(Range range) override;
  // The same; also when a part of the arena has never become ready. Gradients that are no numbers are left as
  // they are.
  StepReport finish_exchange() override;
  ExchangeSeconds update() override { return {}; }
  WholeState whole_state(bool) override { return {}; }
  void collect_state(const StateSink&) override {}
  void spread_state(const WholeState&) override {}
  void restart() override {}
  size_t state_bytes() override { return 0; }

 private:
  Arenas& arenas_;
  double clip_norm_;
  int threads_;
  StepSettings settings_;
  size_t ready_ = 0;  // gradients [0, ready_) are final
};

}  // namespace trireme
