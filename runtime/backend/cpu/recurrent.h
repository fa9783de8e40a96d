// The extents of a recurrence, which its binders and what they are made of share.
#pragma once

#include <cstdint>

namespace trireme::cpu {

// `gates` values are made of a hidden unit's input: four by an LSTM. Backwards, a step's product is that of
// the later step's gates' gradients and the transposed weights.
struct Recurrence {
  int64_t samples, steps, hidden, gates;
  bool backward;

  int64_t outputs() const { return gates * hidden; }               // columns of the weights [hidden, ...]
  int64_t depth() const { return backward ? outputs() : hidden; }  // of a step's product
  bool by_gates() const { return gates > 1 && !backward; }         // whether panels hold a unit's gates
  // The first sample of each thread's part, and behind the last.
  int64_t begin(int64_t part, int threads) const { return part * samples / threads; }
};

}  // namespace trireme::cpu
