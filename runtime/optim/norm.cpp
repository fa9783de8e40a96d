#include "optim/norm.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "base/clones.h"
#include "base/parallel.h"

namespace trireme {
namespace {

constexpr size_t sums_at_once = 1024;     // of blocks, on the stack: a step allocates nothing
constexpr size_t least_shared = 32768;    // values: fewer are summed before the other threads are there
constexpr int64_t finite_part = 1 << 14;  // values
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

void block_sums_of_squares(std::span<const float> values, double* sums, int threads) {
  auto count = static_cast<int64_t>(values.size());
  for_each_part(values.size() < least_shared ? 1 : threads, count, norm_block,
                [&](int64_t begin, int64_t end) {
                  sums[begin / static_cast<int64_t>(norm_block)] =
                      block_sum(values.data() + begin, static_cast<size_t>(end - begin));
                });
}

double sum_of_squares(std::span<const float> values, int threads) {
  std::array<double, sums_at_once> sums;
  double sum = 0;
  for (size_t begin = 0; begin < values.size(); begin += sums_at_once * norm_block) {
    size_t size = std::min(sums_at_once * norm_block, values.size() - begin);
    block_sums_of_squares(values.subspan(begin, size), sums.data(), threads);
    for (size_t i = 0; i < (size + norm_block - 1) / norm_block; ++i) sum += sums[i];
  }
  return sum;
}

bool all_finite(std::span<const float> values, int threads) {
  std::atomic<bool> finite = true;
  auto count = static_cast<int64_t>(values.size());
  for_each_part(values.size() < least_shared ? 1 : threads, count, finite_part,
                [&](int64_t begin, int64_t end) {
                  if (zero_times(values.data() + begin, static_cast<size_t>(end - begin)) != 0.0f) {
                    finite.store(false, std::memory_order_relaxed);
                  }
                });
  return finite;
}

double clip_factor(double norm, double max_norm) {
  return max_norm > 0 && norm > max_norm ? max_norm / norm : 1.0;
}

}  // namespace trireme
