#include "optim/optimizer.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace trireme {

Optimizer::Optimizer(const OptimizerConfig& config, std::vector<UpdateSpan> spans,
                     const std::vector<std::string_view>& slots)
    : config_(config), spans_(std::move(spans)) {
  size_t end = 0;
  size_t size = 0;
  for (const UpdateSpan& span : spans_) {
    if (span.range.begin < end || span.range.end < span.range.begin) {
      throw GraphError("optimizer {}: a tensor at [{}, {}) behind [0, {}): spans must rise", config_.kind,
                       span.range.begin, span.range.end, end);
    }
    end = span.range.end;
    offsets_.push_back(size);
    size += span.range.size();
  }
  for (std::string_view name : slots) memory_.push_back({std::string(name), Buffer(size * sizeof(float))});
}

void Optimizer::update(Range range, float* parameters, const float* gradients, const UpdateStep& step) {
  if (range.empty()) return;
  size_t moved = range.begin;
  auto one = std::upper_bound(spans_.begin(), spans_.end(), range.begin,
                              [](size_t at, const UpdateSpan& span) { return at < span.range.end; });
  for (; moved < range.end; ++one) {
    if (one == spans_.end() || one->range.begin > moved) {
      throw GraphError("optimizer {}: range [{}, {}): {} is in none of the spans", config_.kind, range.begin,
                       range.end, moved);
    }
    Range part{moved, std::min(range.end, one->range.end)};
    if (cut() == Cut::at_tensors && part != one->range) {
      throw GraphError("optimizer {}: range [{}, {}) cuts the tensor at [{}, {}), which moves as a whole",
                       config_.kind, range.begin, range.end, one->range.begin, one->range.end);
    }
    size_t offset = offsets_[static_cast<size_t>(one - spans_.begin())] + part.begin - one->range.begin;
    move({part.size(), parameters + part.begin, gradients + part.begin, offset,
          step.learning_rate * one->learning_rate_factor, *one},
         step);
    moved = part.end;
  }
}

}  // namespace trireme
