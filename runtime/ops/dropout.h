// Which elements dropout keeps: a pure function of (seed, step, layer, sample of the global batch, element),
// so that no mask is stored and the answer depends neither on the number of ranks nor on threads. All
// backends share it.
#pragma once

#include <cstdint>

#include "base/rng.h"
#include "graph/op.h"

namespace trireme {

// The draws of elements 4 * block .. 4 * block + 3 of local sample `sample`; an element is kept when
// uniform_float(draw) >= rate.
inline RandomBlock dropout_draws(const StepScalars& scalars, uint32_t layer, int64_t sample, uint32_t block) {
  auto seed_low = static_cast<uint32_t>(scalars.seed);
  auto seed_high = static_cast<uint32_t>(scalars.seed >> 32);
  return philox(seed_low, seed_high ^ (static_cast<uint32_t>(Purpose::dropout) << 24), block,
                static_cast<uint32_t>(scalars.first_sample + sample), static_cast<uint32_t>(scalars.step),
                layer);
}

// Element `element` (counted within the sample) of local sample `sample`.
inline bool dropout_keeps(const StepScalars& scalars, uint32_t layer, int64_t sample, int64_t element,
                          float rate) {
  RandomBlock draws = dropout_draws(scalars, layer, sample, static_cast<uint32_t>(element / 4));
  return uniform_float(draws[static_cast<size_t>(element % 4)]) >= rate;
}

}  // namespace trireme
