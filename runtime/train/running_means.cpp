#include "train/running_means.h"

namespace trireme {

void move_running_means(const ArenaLayout& layout, const float* statistics, float* state, double share) {
  auto whole = static_cast<float>(1 / share);
  for (const RunningMean& mean : layout.running_means) {
    const float* statistic = statistics + (mean.statistic_offset - layout.parameter_elements);
    float* moved = state + mean.state_offset;
    auto momentum = static_cast<float>(mean.momentum * share);
    for (size_t i = 0; i < mean.size; ++i) {
      moved[i] = (1 - momentum) * moved[i] + momentum * (whole * statistic[i]);
    }
  }
}

}  // namespace trireme
