#include "train/piece_strategy.h"

#include <cmath>

#include "base/error.h"
#include "optim/norm.h"

namespace trireme {

PieceStrategy::PieceStrategy(Arenas& arenas, double clip_norm, int threads)
    : arenas_(arenas), clip_norm_(clip_norm), threads_(threads) {
  if (arenas.type != DType::float32) throw GraphError("parameter_server: arenas of float32 are needed");
}

void PieceStrategy::begin_step(const StepSettings& settings) {
  settings_ = settings;
  ready_ = 0;
}

void PieceStrategy::range_ready(Range range) {
  if (range.begin != ready_) {
    throw GraphError(
        "parameter_server: gradients [{}, {}) became ready after [0, {}): ranges must follow each other",
        range.begin, range.end, ready_);
  }
  ready_ = range.end;
}

StepReport PieceStrategy::finish_exchange() {
  if (ready_ != arenas_.layout.gradient_elements) {
    throw GraphError("parameter_server: step {} ended with gradients [0, {}) of {} ready", settings_.step,
                     ready_, arenas_.layout.gradient_elements);
  }
  StepReport report;
  std::span<float> gradients{arenas_.gradients.as<float>(), arenas_.layout.parameter_elements};
  double factor = settings_.gradient_scale;
  if (clip_norm_ > 0 && settings_.sample_share > 0) {
    report.gradient_norm =
        std::sqrt(sum_of_squares(gradients, threads_)) * settings_.gradient_scale / settings_.sample_share;
    report.finite = std::isfinite(report.gradient_norm);
    factor *= clip_factor(report.gradient_norm, clip_norm_);
  } else {
    report.finite = all_finite(gradients, threads_);
  }
  if (report.finite && factor != 1) {
    auto scale = static_cast<float>(factor);
    for (float& gradient : gradients) gradient *= scale;
  }
  return report;
}

}  // namespace trireme
