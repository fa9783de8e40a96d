// The seam between a model's step and how ranks share what was learned. A strategy is given the arenas once;
// the executor tells it `range ready` as soon as a range of gradients is final, in arena order; at the end of
// the step it answers when the parameters are ready to use; it names its state for checkpoints. Nothing above
// it knows how many ranks there are, nothing below it knows what a layer is.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/range.h"
#include "exec/arenas.h"
#include "train/exchanger.h"

namespace trireme {

// A named part of the state that a checkpoint must hold, as a range-like view of float32 memory: one entry
// per optimizer slot, laid out like the parameter arena.
struct StateSlot {
  std::string name;         // "momentum", "first_moment", ...
  std::span<float> values;  // parameter_elements long; empty where the rank does not hold it whole
};

// All slots in their whole length on the ranks that hold it, for as long as a checkpoint is written or read:
// the strategy's own memory, or a copy. Other ranks may hold nothing.
struct WholeState {
  std::vector<StateSlot> slots;
  std::vector<Buffer> copies;
};

// Takes values of elements `range` of slot number `slot` (as whole_state() has them), in their order. Empty
// on ranks that want none.
using StateSink = std::function<void(size_t slot, Range range, const float* values)>;

// What a step is done with.
struct StepSettings {
  int64_t step = 0;     // counted from 0 over the whole run
  int64_t updates = 0;  // applied before this one: `step`, but for steps that were left out
  double learning_rate = 0;
  double gradient_scale =
      1;  // gradients mean this much of what they say (1 / loss scale); norms are of the result
  double sample_share = 1;  // samples of this rank as a part of those that gradients are means over
};

struct StepReport {
  ExchangeSeconds exchange;  // since the step began
  double gradient_norm = 0;  // global L2 norm before clipping; 0 when clipping is off
  bool finite = true;        // no gradient is nan or infinite; the same on all ranks
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual std::string name() const = 0;
  // A step begins: nothing of the gradient arena is ready.
  virtual void begin_step(const StepSettings& settings) = 0;
  // Gradients [begin, end) hold this rank's share of the global mean; statistics follow behind the gradients.
  virtual void range_ready(Range range) = 0;
  // Returns when gradients and statistics are those of the whole group. Parameters and state are as they
  // were, so that whoever looks at the statistics may still leave the step out: by calling begin_step() next.
  virtual StepReport finish_exchange() = 0;
  // Moves parameters and state by what was exchanged; returns when they are ready to use, with the time that
  // this took in exchanges.
  virtual ExchangeSeconds update() = 0;

  // The state, for checkpoints. whole_state() names all slots; their values are the strategy's own memory
  // where every rank has all of it, room for them on a rank that `holds` them, else empty. Save:
  // collect_state() gives the sinks the values of slots that are spread over ranks, piece by piece. Load:
  // rank 0 has put all values into its whole state, spread_state() takes every rank's part of them. The
  // latter two are collective.
  virtual WholeState whole_state(bool holds) = 0;
  virtual void collect_state(const StateSink& sink) = 0;
  virtual void spread_state(const WholeState& state) = 0;
  // Back to how the run began: state zero.
  virtual void restart() = 0;
  // That the state takes on this rank.
  virtual size_t state_bytes() = 0;
  // Collective, after finish_exchange() and before update(): the whole group's gradients everywhere on every
  // rank, where a step keeps less. For a look at a step gone wrong.
  virtual void collect_gradients() {}
};

}  // namespace trireme
