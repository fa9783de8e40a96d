#include "optim/optimizer.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"

namespace trireme {
namespace {

constexpr size_t least_share = 8192;    // values: about as long as it takes to call the other threads
constexpr size_t share_alignment = 64;  // values, so that threads share no cache line

}  // namespace

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

void Optimizer::check_range(Range range) const {
  auto one = std::upper_bound(spans_.begin(), spans_.end(), range.begin,
                              [](size_t at, const UpdateSpan& span) { return at < span.range.end; });
  for (size_t moved = range.begin; moved < range.end; ++one) {
    if (one == spans_.end() || one->range.begin > moved) {
      throw GraphError("optimizer {}: range [{}, {}): {} is in none of the spans", config_.kind, range.begin,
                       range.end, moved);
    }
    Range part{moved, std::min(range.end, one->range.end)};
    if (cut() == Cut::at_tensors && part != one->range) {
      throw GraphError("optimizer {}: range [{}, {}) cuts the tensor at [{}, {}), which moves as a whole",
                       config_.kind, range.begin, range.end, one->range.begin, one->range.end);
    }
    moved = part.end;
  }
}

void Optimizer::move_range(Range range, float* parameters, const float* gradients, const UpdateStep& step) {
  auto one = std::upper_bound(spans_.begin(), spans_.end(), range.begin,
                              [](size_t at, const UpdateSpan& span) { return at < span.range.end; });
  for (size_t moved = range.begin; moved < range.end; ++one) {
    Range part{moved, std::min(range.end, one->range.end)};
    size_t offset = offsets_[static_cast<size_t>(one - spans_.begin())] + part.begin - one->range.begin;
    move({part.size(), parameters + part.begin, gradients + part.begin, offset,
          step.learning_rate * one->learning_rate_factor, *one},
         step);
    moved = part.end;
  }
}

void Optimizer::update(Range range, float* parameters, const float* gradients, const UpdateStep& step) {
  if (range.empty()) return;
  check_range(range);
  size_t threads = std::min(static_cast<size_t>(threads_), range.size() / least_share);
  if (threads <= 1 || cut() == Cut::at_tensors) return move_range(range, parameters, gradients, step);
  // One part a thread, and not many small ones: the same thread finds the same part in its caches again.
  size_t share = (range.size() / threads + share_alignment) / share_alignment * share_alignment;
  for_each_part(
      threads_, static_cast<int64_t>(range.size()), static_cast<int64_t>(share),
      [&](int64_t begin, int64_t end) {
        Range part{range.begin + static_cast<size_t>(begin), range.begin + static_cast<size_t>(end)};
        move_range(part, parameters, gradients, step);
      });
}

}  // namespace trireme
