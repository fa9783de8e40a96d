// A shard with memory, rules whose sums are exact whatever their order, and payloads that belong to tickets.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "comm/parameter_server/block_versions.h"
#include "comm/parameter_server/shard.h"

namespace trireme {

// The gradient of a ticket: small integers, so that float sums of many are exact.
inline float gradient_at(int64_t number, size_t element) {
  return static_cast<float>((number * 7 + static_cast<int64_t>(element) * 3 + number * number % 5) % 11) - 5;
}

// Vectors of a test: parameters in uneven blocks, and two states for each float of the tail.
inline ShardLayout test_layout(size_t tail = 3) {
  ShardLayout layout;
  size_t at = 0;
  for (size_t size : {100u, 1u, 63u, 200u, 5u, 77u}) {
    layout.blocks.push_back({at, at + size});
    at += size;
  }
  layout.states = {at, at + 2 * tail};
  layout.tail_elements = tail;
  return layout;
}

// value += gradient; slot += 3 * gradient. Keeps who came to each block, and that nobody came at the same
// time.
class SumRules : public ShardRules {
 public:
  explicit SumRules(const ShardLayout& layout)
      : live_slots(layout.size(), 0),
        cut_slots(layout.size(), 0),
        came(layout.all_blocks().size()),
        busy_(came.size()) {
    states_block_ = layout.states.empty() ? came.size() : layout.blocks.size();
  }

  void update(size_t b, Range block, float* values, const float* gradient, const float* pulled,
              const UpdateInfo& info, ShardState which) override {
    if (busy_[b].exchange(true)) ++collisions;
    if (pulled != nullptr) ++with_parameters;
    std::vector<float>& slots = which == ShardState::live ? live_slots : cut_slots;
    for (size_t i = block.begin; i < block.end; ++i) {
      size_t from = i - block.begin;
      float step = gradient[b == states_block_ ? from / 2 : from];
      values[i] += step;
      slots[i] += 3 * step;
    }
    if (which == ShardState::live) came[b].push_back(info);
    busy_[b] = false;
  }
  void copy_slots(size_t b, Range block) override {
    if (busy_[b].exchange(true)) ++collisions;
    std::copy_n(live_slots.data() + block.begin, block.size(), cut_slots.data() + block.begin);
    busy_[b] = false;
  }

  std::vector<float> live_slots, cut_slots;
  std::vector<std::vector<UpdateInfo>> came;  // live updates, by block
  std::atomic<int> collisions{0}, with_parameters{0};

 private:
  size_t states_block_;
  std::vector<std::atomic<bool>> busy_;
};

// Memory as a server lays it out: version words, then values.
struct TestMemory {
  explicit TestMemory(const ShardLayout& layout)
      : blocks(layout.all_blocks()),
        buffer(version_bytes(blocks.size()) + layout.size() * sizeof(float)),
        memory{{buffer.as<uint64_t>(), blocks.size()},
               {reinterpret_cast<float*>(buffer.data() + version_bytes(blocks.size())), layout.size()}} {}

  std::vector<float> values() const {
    std::vector<float> copy(memory.values.size());
    copy_consistent(memory.versions, blocks, memory.values.data(), copy.data());
    return copy;
  }

  std::vector<Range> blocks;
  Buffer buffer;
  ShardMemory memory;
};

inline Payload payload_of(std::vector<float> floats) {
  auto owner = std::make_shared<std::vector<float>>(std::move(floats));
  return {owner, std::as_bytes(std::span<const float>(*owner))};
}

inline Payload payload_of(const ShardLayout& layout, int64_t number) {
  std::vector<float> floats;
  for (size_t i = 0; i < layout.elements() + layout.tail_elements; ++i)
    floats.push_back(gradient_at(number, i));
  return payload_of(std::move(floats));
}

inline PushInfo push_info(Ticket ticket, uint64_t pulled_version = 0, int32_t worker = 0) {
  return {ticket, worker, 1, pulled_version, PayloadFormat::float32};
}

// What exactly these tickets make of zeros.
inline std::vector<float> sum_of(const ShardLayout& layout, const std::vector<int64_t>& numbers) {
  std::vector<float> sum(layout.size(), 0);
  for (int64_t n : numbers) {
    for (size_t i = 0; i < layout.elements(); ++i) sum[i] += gradient_at(n, i);
    for (size_t i = 0; i < layout.states.size(); ++i)
      sum[layout.elements() + i] += gradient_at(n, layout.elements() + i / 2);
  }
  return sum;
}

inline std::vector<float> times(float factor, std::vector<float> values) {
  for (float& v : values) v *= factor;
  return values;
}

// Something to wait for, with a generous limit.
class Counter {
 public:
  void add() {
    std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  int count() const {
    std::lock_guard lock(mutex_);
    return count_;
  }
  bool reaches(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return count_ >= count; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

}  // namespace trireme
