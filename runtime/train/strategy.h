// The seam between a model's step and how ranks share what was learned. A strategy is given the arenas once;
// the executor tells it `range ready` as soon as a range of gradients is final, in arena order; at the end of
// the step it answers when the parameters are ready to use; it names its state for checkpoints. Nothing above
// it knows how many ranks there are, nothing below it knows what a layer is.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/range.h"
#include "exec/arenas.h"
#include "train/exchanger.h"

namespace trireme {

// A named part of the state that a checkpoint must hold, as a range-like view of float32 memory: one entry
// per optimizer slot, laid out like the parameter arena.
struct StateSlot {
  std::string name;         // "momentum", "first_moment", ...
  std::span<float> values;  // parameter_elements long
};

// What a step is done with.
struct StepSettings {
  int64_t step = 0;     // counted from 0 over the whole run
  int64_t updates = 0;  // applied before this one: `step`, but for steps that were left out
  double learning_rate = 0;
  double gradient_scale =
      1;  // gradients mean this much of what they say (1 / loss scale); norms are of the result
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
  // Moves parameters and state by what was exchanged; returns when they are ready to use.
  virtual void update() = 0;
  virtual std::vector<StateSlot> state_slots() = 0;
};

}  // namespace trireme
