// The moving average of a net's parameters (Polyak and Juditsky, "Acceleration of stochastic approximation by
// averaging", 1992; in its exponential form as by TensorFlow's ExponentialMovingAverage), which generalises
// better than the last step's values.
#pragma once

#include <cstdint>
#include <span>

#include "base/buffer.h"
#include "exec/arenas.h"

namespace trireme {

// Its name among a checkpoint's optimizer slots.
inline constexpr const char* average_slot = "average";

class ParameterAverage {
 public:
  // Starts at the parameters' own values. 0 < decay < 1.
  ParameterAverage(const Arenas& arenas, double decay);

  // average = d * average + (1 - d) * parameters, after update number `updates` (1 after the first), with
  // d = min(decay, (1 + updates) / (10 + updates)), so that the values at the start are soon forgotten.
  // `threads` share the work out.
  void follow(const Arenas& arenas, int64_t updates, int threads = 1);
  // Parameters and average change places. Twice leaves everything as it was, to the bit.
  void swap(Arenas& arenas);
  // Starts again at the parameters.
  void restart(const Arenas& arenas);
  std::span<float> values() { return values_.span<float>(); }

 private:
  double decay_;
  Buffer values_;  // float32, laid out like the parameter arena
};

}  // namespace trireme
