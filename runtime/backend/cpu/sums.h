// Sums of the parts that threads have summed.
#pragma once

#include <cstdint>

namespace trireme::cpu {

// sums[c] = parts[c] + parts[step + c] + ... of `count` vectors of `channels` values, which lie `step` apart:
// in float64 and in this order, so that bits do not depend on who made the parts.
void add_vectors(int64_t count, int64_t channels, const float* parts, int64_t step, double* sums);

}  // namespace trireme::cpu
