#include "backend/cpu/sums.h"

#include <algorithm>

#include "base/clones.h"

namespace trireme::cpu {

// Vector by vector: along the parts of one channel each addition would wait for the one before.
TRIREME_CLONES void add_vectors(int64_t count, int64_t channels, const float* __restrict parts, int64_t step,
                                double* __restrict sums) {
  std::fill(sums, sums + channels, 0.0);
  for (int64_t i = 0; i < count; ++i) {
    const float* part = parts + i * step;
    for (int64_t c = 0; c < channels; ++c) sums[c] += static_cast<double>(part[c]);
  }
}

}  // namespace trireme::cpu
