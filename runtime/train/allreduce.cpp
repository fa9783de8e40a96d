#include "train/allreduce.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "optim/norm.h"
#include "train/running_means.h"

namespace trireme {
namespace {

size_t norm_blocks_in(Range range) { return (range.size() + norm_block - 1) / norm_block; }

}  // namespace

AllReduceStrategy::AllReduceStrategy(Arenas& arenas, Communicator& communicator, Exchanger& exchanger,
                                     std::unique_ptr<Optimizer> optimizer, const AllReduceOptions& options,
                                     Shards shards)
    : arenas_(arenas),
      communicator_(communicator),
      exchanger_(exchanger),
      optimizer_(std::move(optimizer)),
      bucket_elements_(std::max<size_t>(options.bucket_bytes / sizeof(float), arena_alignment)),
      clip_norm_(options.clip_norm),
      threads_(options.threads),
      shards_(std::move(shards)) {
  if (arenas.type != DType::float32) throw GraphError("allreduce: arenas of float32 are needed");
  optimizer_->use_threads(threads_);
  if (communicator.size() > 1) cut_buckets();
  // update() begins when the exchange is done: a step has never more in the queue than either.
  exchanger_.reserve(std::max(buckets_.size(), shards_.parameters.size()));
}

void AllReduceStrategy::cut_buckets() {
  const ArenaLayout& layout = arenas_.layout;
  if (shards_.gradients.empty()) {
    buckets_ = cut_at(0, layout.gradient_elements);
    return;
  }
  for (const Blocks& blocks : shards_.gradients) buckets_.push_back(blocks.range);
  std::vector<Range> rest = cut_at(layout.parameter_elements, layout.gradient_elements);
  buckets_.insert(buckets_.end(), rest.begin(), rest.end());
  square_bounds_.push_back(0);
  for (int rank = 0; rank < communicator_.size(); ++rank) {
    size_t blocks = 0;
    for (Range range : owned_ranges(shards_.gradients, rank)) blocks += norm_blocks_in(range);
    square_bounds_.push_back(square_bounds_.back() + blocks);
  }
  square_cursors_ = square_bounds_;
  square_sums_.resize(square_bounds_.back());
  owned_ = owned_ranges(shards_.gradients, communicator_.rank());
}

std::vector<Range> AllReduceStrategy::cut_at(size_t begin, size_t end) const {
  std::vector<Range> ranges;
  for (; begin < end; begin += bucket_elements_) {
    ranges.push_back({begin, std::min(begin + bucket_elements_, end)});
  }
  return ranges;
}

void AllReduceStrategy::begin_step(const StepSettings& settings) {
  settings_ = settings;
  ready_ = 0;
  submitted_ = 0;
  finite_ = true;
}

void AllReduceStrategy::range_ready(Range range) {
  if (range.begin != ready_) {
    throw GraphError(
        "allreduce: gradients [{}, {}) became ready after [0, {}): ranges must follow each other",
        range.begin, range.end, ready_);
  }
  ready_ = range.end;
  // Of one rank they are final, and still in the caches of those who made them.
  if (communicator_.size() == 1 && clip_norm_ <= 0 && finite_) {
    Range parameters{range.begin, std::min(range.end, arenas_.layout.parameter_elements)};
    if (parameters.begin < parameters.end) {
      finite_ = all_finite({arenas_.gradients.as<float>() + parameters.begin, parameters.size()}, threads_);
    }
  }
  for (; submitted_ < buckets_.size() && buckets_[submitted_].end <= ready_; ++submitted_) {
    exchanger_.submit(*this, submitted_);
  }
}

void AllReduceStrategy::exchange(size_t job) {
  auto rank = static_cast<size_t>(communicator_.rank());
  if (job == buckets_.size()) return exchange_verdict();
  if (job > buckets_.size()) {
    const Blocks& blocks = shards_.parameters[job - first_gather()];
    float* parameters = arenas_.parameters.as<float>() + blocks.range.begin;
    communicator_.all_gather(parameters + blocks.bounds[rank], parameters, blocks.bounds, DType::float32);
    return;
  }
  float* gradients = arenas_.gradients.as<float>() + buckets_[job].begin;
  if (job < shards_.gradients.size()) {
    const Blocks& blocks = shards_.gradients[job];
    communicator_.reduce_scatter(gradients, gradients + blocks.bounds[rank], blocks.bounds, DType::float32);
  } else {
    communicator_.all_reduce(gradients, buckets_[job].size(), DType::float32);
  }
}

void AllReduceStrategy::exchange_verdict() {
  if (clip_norm_ > 0) {
    const double* own = square_sums_.data() + square_bounds_[static_cast<size_t>(communicator_.rank())];
    communicator_.all_gather(own, square_sums_.data(), square_bounds_, DType::float64);
  } else {
    communicator_.all_reduce(&broken_, 1, DType::float32, ReduceOp::max);
  }
}

StepReport AllReduceStrategy::finish_exchange() {
  if (ready_ != arenas_.layout.gradient_elements) {
    throw GraphError("allreduce: step {} ended with gradients [0, {}) of {} ready", settings_.step, ready_,
                     arenas_.layout.gradient_elements);
  }
  StepReport report;
  report.exchange = exchanger_.finish();
  norm_ = 0;
  if (clip_norm_ > 0) {
    norm_ = std::sqrt(gradients_square_sum(report.exchange)) * settings_.gradient_scale;
    report.finite = std::isfinite(norm_);
  } else {
    report.finite = gradients_are_finite(report.exchange);
  }
  report.gradient_norm = norm_;
  return report;
}

bool AllReduceStrategy::gradients_are_finite(ExchangeSeconds& seconds) {
  if (communicator_.size() == 1) return finite_;
  const float* gradients = arenas_.gradients.as<float>();
  if (shards_.gradients.empty()) return all_finite({gradients, arenas_.layout.parameter_elements}, threads_);
  bool finite = true;
  for (Range range : owned_) finite = finite && all_finite({gradients + range.begin, range.size()}, threads_);
  broken_ = finite ? 0 : 1;
  exchanger_.submit(*this, buckets_.size());
  seconds += exchanger_.finish();
  return broken_ == 0;
}

double AllReduceStrategy::gradients_square_sum(ExchangeSeconds& seconds) {
  const float* gradients = arenas_.gradients.as<float>();
  if (shards_.gradients.empty())
    return sum_of_squares({gradients, arenas_.layout.parameter_elements}, threads_);
  double* at = square_sums_.data() + square_bounds_[static_cast<size_t>(communicator_.rank())];
  for (Range range : owned_) {
    block_sums_of_squares({gradients + range.begin, range.size()}, at, threads_);
    at += norm_blocks_in(range);
  }
  exchanger_.submit(*this, buckets_.size());
  seconds += exchanger_.finish();
  // In the arena's order: bucket by bucket, and in a bucket rank by rank.
  double sum = 0;
  square_cursors_.assign(square_bounds_.begin(), square_bounds_.end());
  for (const Blocks& blocks : shards_.gradients) {
    for (int r = 0; r < communicator_.size(); ++r) {
      size_t count = norm_blocks_in(blocks.block(r));
      size_t& cursor = square_cursors_[static_cast<size_t>(r)];
      for (size_t i = 0; i < count; ++i) sum += square_sums_[cursor++];
    }
  }
  return sum;
}

ExchangeSeconds AllReduceStrategy::update() {
  UpdateStep step{settings_.learning_rate, settings_.updates,
                  settings_.gradient_scale * clip_factor(norm_, clip_norm_)};
  float* parameters = arenas_.parameters.as<float>();
  const float* gradients = arenas_.gradients.as<float>();
  if (shards_.parameters.empty()) {
    optimizer_->update({0, arenas_.layout.parameter_elements}, parameters, gradients, step);
  }
  for (size_t i = 0; i < shards_.parameters.size(); ++i) {
    optimizer_->update(shards_.parameters[i].block(communicator_.rank()), parameters, gradients, step);
    exchanger_.submit(*this, first_gather() + i);
  }
  move_running_means(arenas_.layout, arenas_.gradients.as<float>() + arenas_.layout.parameter_elements,
                     arenas_.state.as<float>());
  return exchanger_.finish();
}

WholeState AllReduceStrategy::whole_state(bool holds) {
  WholeState state;
  size_t bytes = arenas_.layout.parameter_elements * sizeof(float);
  for (OptimizerMemory& memory : optimizer_->memory()) {
    std::span<float> values;
    if (shards_.parameters.empty()) {
      values = memory.values.span<float>();
    } else if (holds) {
      values = state.copies.emplace_back(bytes).span<float>();
    }
    state.slots.push_back({memory.name, values});
  }
  return state;
}

void AllReduceStrategy::collect_state(const StateSink& sink) {
  if (shards_.parameters.empty()) return;
  for (size_t i = 0; i < optimizer_->memory().size(); ++i) {
    collect_blocks(communicator_, shards_.parameters, bucket_elements_,
                   optimizer_->memory()[i].values.span<float>(), [&](Range range, const float* values) {
                     if (sink) sink(i, range, values);
                   });
  }
}

void AllReduceStrategy::spread_state(const WholeState& state) {
  for (size_t i = 0; i < optimizer_->memory().size(); ++i) {
    std::span<float> own = optimizer_->memory()[i].values.span<float>();
    if (shards_.parameters.empty()) {
      communicator_.broadcast(own.data(), own.size_bytes(), 0);
    } else {
      spread_blocks(communicator_, shards_.parameters, bucket_elements_, state.slots[i].values.data(), own);
    }
  }
}

void AllReduceStrategy::restart() {
  for (OptimizerMemory& memory : optimizer_->memory()) {
    std::fill_n(memory.values.as<float>(), memory.values.bytes() / sizeof(float), 0.0f);
  }
}

size_t AllReduceStrategy::state_bytes() {
  size_t bytes = 0;
  for (const OptimizerMemory& memory : optimizer_->memory()) bytes += memory.values.bytes();
  return bytes;
}

void AllReduceStrategy::collect_gradients() {
  auto rank = static_cast<size_t>(communicator_.rank());
  for (const Blocks& blocks : shards_.gradients) {
    float* gradients = arenas_.gradients.as<float>() + blocks.range.begin;
    communicator_.all_gather(gradients + blocks.bounds[rank], gradients, blocks.bounds, DType::float32);
  }
}

}  // namespace trireme
