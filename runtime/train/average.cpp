#include "train/average.h"

#include <algorithm>
#include <cstring>

#include "base/clones.h"
#include "base/parallel.h"

namespace trireme {
namespace {

constexpr int64_t values_at_once = 1 << 15;

TRIREME_CLONES void follow_loop(size_t n, float rest, const float* __restrict parameters,
                                float* __restrict average) {
  for (size_t i = 0; i < n; ++i) average[i] += rest * (parameters[i] - average[i]);
}

}  // namespace

ParameterAverage::ParameterAverage(const Arenas& arenas, double decay)
    : decay_(decay), values_(arenas.parameters.bytes()) {
  restart(arenas);
}

void ParameterAverage::restart(const Arenas& arenas) {
  std::memcpy(values_.data(), arenas.parameters.data(), values_.bytes());
}

void ParameterAverage::follow(const Arenas& arenas, int64_t updates, int threads) {
  auto t = static_cast<double>(updates);
  auto rest = static_cast<float>(1 - std::min(decay_, (1 + t) / (10 + t)));
  const float* parameters = arenas.parameters.as<float>();
  float* average = values_.as<float>();
  auto size = static_cast<int64_t>(values_.bytes() / sizeof(float));
  for_each_part(threads, size, values_at_once, [&](int64_t begin, int64_t end) {
    follow_loop(static_cast<size_t>(end - begin), rest, parameters + begin, average + begin);
  });
}

void ParameterAverage::swap(Arenas& arenas) {
  std::swap_ranges(values_.as<float>(), values_.as<float>() + values_.bytes() / sizeof(float),
                   arenas.parameters.as<float>());
}

}  // namespace trireme
