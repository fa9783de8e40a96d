#include "optim/norm.h"

#include <algorithm>
#include <array>

#include "base/clones.h"

namespace trireme {
namespace {

constexpr size_t lanes = 16;  // independent sums, so that the loop vectorises without reassociation

TRIREME_CLONES double block_sum(const float* __restrict values, size_t n) {
  std::array<double, lanes> sums{};
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (size_t lane = 0; lane < lanes; ++lane) {
      double value = values[i + lane];
      sums[lane] += value * value;
    }
  }
  for (; i < n; ++i) sums[0] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  for (size_t width = lanes / 2; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  }
  return sums[0];
}

// The sum of 0 * value: 0, or nan where a value is nan or infinite.
TRIREME_CLONES float zero_times(const float* values, size_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < n; ++i) sum += 0.0f * values[i];
  return sum;
}

}  // namespace

void block_sums_of_squares(std::span<const float> values, double* sums) {
  for (size_t begin = 0; begin < values.size(); begin += norm_block) {
    *sums++ = block_sum(values.data() + begin, std::min(norm_block, values.size() - begin));
  }
}

double sum_of_squares(std::span<const float> values) {
  double sum = 0;
  for (size_t begin = 0; begin < values.size(); begin += norm_block) {
    sum += block_sum(values.data() + begin, std::min(norm_block, values.size() - begin));
  }
  return sum;
}

bool all_finite(std::span<const float> values) { return zero_times(values.data(), values.size()) == 0.0f; }

double clip_factor(double norm, double max_norm) {
  return max_norm > 0 && norm > max_norm ? max_norm / norm : 1.0;
}

}  // namespace trireme
