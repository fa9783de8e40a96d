#include "train/average.h"

#include <algorithm>
#include <cstring>

namespace trireme {

ParameterAverage::ParameterAverage(const Arenas& arenas, double decay)
    : decay_(decay), values_(arenas.parameters.bytes()) {
  restart(arenas);
}

void ParameterAverage::restart(const Arenas& arenas) {
  std::memcpy(values_.data(), arenas.parameters.data(), values_.bytes());
}

void ParameterAverage::follow(const Arenas& arenas, int64_t updates) {
  auto t = static_cast<double>(updates);
  auto rest = static_cast<float>(1 - std::min(decay_, (1 + t) / (10 + t)));
  const float* parameters = arenas.parameters.as<float>();
  float* average = values_.as<float>();
  size_t size = values_.bytes() / sizeof(float);
  for (size_t i = 0; i < size; ++i) average[i] += rest * (parameters[i] - average[i]);
}

void ParameterAverage::swap(Arenas& arenas) {
  std::swap_ranges(values_.as<float>(), values_.as<float>() + values_.bytes() / sizeof(float),
                   arenas.parameters.as<float>());
}

}  // namespace trireme
