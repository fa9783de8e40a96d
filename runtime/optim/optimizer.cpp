#include "optim/optimizer.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace trireme {

Optimizer::Optimizer(const OptimizerConfig& config, std::vector<UpdateSpan> spans,
                     const std::vector<std::string_view>& slots)
    : config_(config), spans_(std::move(spans)) {
  size_t end = 0;
  for (const UpdateSpan& span : spans_) {
    if (span.range.begin != end || span.range.end < end) {
      throw GraphError("optimizer {}: a tensor at [{}, {}) behind [0, {}): spans must follow each other",
                       config_.kind, span.range.begin, span.range.end, end);
    }
    end = span.range.end;
  }
  for (std::string_view name : slots) memory_.push_back({std::string(name), Buffer(end * sizeof(float))});
}

void Optimizer::update(Range range, float* parameters, const float* gradients, const UpdateStep& step) {
  if (range.empty()) return;
  size_t end = spans_.empty() ? 0 : spans_.back().range.end;
  if (range.end > end) {
    throw GraphError("optimizer {}: range [{}, {}) of [0, {})", config_.kind, range.begin, range.end, end);
  }
  auto one = std::upper_bound(spans_.begin(), spans_.end(), range.begin,
                              [](size_t at, const UpdateSpan& span) { return at < span.range.end; });
  for (; one != spans_.end() && one->range.begin < range.end; ++one) {
    Range part{std::max(range.begin, one->range.begin), std::min(range.end, one->range.end)};
    if (cut() == Cut::at_tensors && part != one->range) {
      throw GraphError("optimizer {}: range [{}, {}) cuts the tensor at [{}, {}), which moves as a whole",
                       config_.kind, range.begin, range.end, one->range.begin, one->range.end);
    }
    move({part.size(), parameters + part.begin, gradients + part.begin, part.begin,
          step.learning_rate * one->learning_rate_factor, *one},
         step);
  }
}

}  // namespace trireme
