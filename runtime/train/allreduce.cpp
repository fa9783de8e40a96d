#include "train/allreduce.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "optim/norm.h"

namespace trireme {

AllReduceStrategy::AllReduceStrategy(Arenas& arenas, Communicator& communicator, Exchanger& exchanger,
                                     std::unique_ptr<Optimizer> optimizer, const AllReduceOptions& options)
    : arenas_(arenas),
      communicator_(communicator),
      exchanger_(exchanger),
      optimizer_(std::move(optimizer)),
      bucket_elements_(std::max<size_t>(options.bucket_bytes / sizeof(float), arena_alignment)),
      buckets_(communicator.size() > 1
                   ? (arenas.layout.gradient_elements + bucket_elements_ - 1) / bucket_elements_
                   : 0),
      clip_norm_(options.clip_norm) {
  if (arenas.type != DType::float32) throw GraphError("allreduce: arenas of float32 are needed");
  exchanger_.reserve(buckets_);
}

void AllReduceStrategy::begin_step(const StepSettings& settings) {
  settings_ = settings;
  ready_ = 0;
  submitted_ = 0;
}

void AllReduceStrategy::range_ready(Range range) {
  if (range.begin != ready_) {
    throw GraphError(
        "allreduce: gradients [{}, {}) became ready after [0, {}): ranges must follow each other",
        range.begin, range.end, ready_);
  }
  ready_ = range.end;
  for (; submitted_ < buckets_ && bucket(submitted_).end <= ready_; ++submitted_) {
    exchanger_.submit(*this, submitted_);
  }
}

Range AllReduceStrategy::bucket(size_t number) const {
  size_t begin = number * bucket_elements_;
  return {begin, std::min(begin + bucket_elements_, arenas_.layout.gradient_elements)};
}

void AllReduceStrategy::exchange(size_t bucket_number) {
  Range range = bucket(bucket_number);
  communicator_.all_reduce(arenas_.gradients.as<float>() + range.begin, range.size(), DType::float32);
}

StepReport AllReduceStrategy::finish_exchange() {
  if (ready_ != arenas_.layout.gradient_elements) {
    throw GraphError("allreduce: step {} ended with gradients [0, {}) of {} ready", settings_.step, ready_,
                     arenas_.layout.gradient_elements);
  }
  ExchangeSeconds seconds = exchanger_.finish();
  norm_ = 0;
  std::span<const float> gradients(arenas_.gradients.as<float>(), arenas_.layout.parameter_elements);
  if (clip_norm_ <= 0) return {seconds, norm_, all_finite(gradients)};
  norm_ = std::sqrt(sum_of_squares(gradients)) * settings_.gradient_scale;
  return {seconds, norm_, std::isfinite(norm_)};
}

void AllReduceStrategy::update() {
  double scale = settings_.gradient_scale * clip_factor(norm_, clip_norm_);
  optimizer_->update({0, arenas_.layout.parameter_elements}, arenas_.parameters.as<float>(),
                     arenas_.gradients.as<float>(), {settings_.learning_rate, settings_.updates, scale});
  move_running_means();
}

void AllReduceStrategy::move_running_means() {
  for (const RunningMean& mean : arenas_.layout.running_means) {
    const float* statistic = arenas_.gradients.as<float>() + mean.statistic_offset;
    float* state = arenas_.state.as<float>() + mean.state_offset;
    auto momentum = static_cast<float>(mean.momentum);
    for (size_t i = 0; i < mean.size; ++i) state[i] = (1 - momentum) * state[i] + momentum * statistic[i];
  }
}

std::vector<StateSlot> AllReduceStrategy::state_slots() {
  std::vector<StateSlot> slots;
  for (OptimizerMemory& memory : optimizer_->memory())
    slots.push_back({memory.name, memory.values.span<float>()});
  return slots;
}

}  // namespace trireme
