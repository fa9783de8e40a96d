#include "comm/parameter_server/apply_pool.h"

#include "base/error.h"

namespace trireme {

ApplyPool::ApplyPool(size_t lanes) {
  if (lanes == 0) throw CommError("a parameter server needs at least one thread to apply updates");
  for (size_t i = 0; i < lanes; ++i) lanes_.push_back(std::make_unique<Lane>());
  for (size_t i = 0; i < lanes; ++i) lanes_[i]->thread = std::thread([this, i] { run(i); });
}

ApplyPool::~ApplyPool() {
  for (auto& lane : lanes_) {
    {
      std::lock_guard lock(lane->mutex);
      lane->ends = true;
    }
    lane->wake.notify_one();
  }
  for (auto& lane : lanes_) lane->thread.join();
}

void ApplyPool::submit(std::span<const size_t> lanes, std::shared_ptr<Work> work) {
  if (failed_.load(std::memory_order_acquire)) {
    std::lock_guard lock(failure_mutex_);
    std::rethrow_exception(failure_);
  }
  for (size_t i : lanes) {
    Lane& lane = *lanes_[i];
    {
      std::lock_guard lock(lane.mutex);
      lane.queue.push_back(work);
    }
    lane.wake.notify_one();
  }
}

void ApplyPool::run(size_t index) {
  Lane& lane = *lanes_[index];
  std::deque<std::shared_ptr<Work>> taken;  // all there is at once: whoever submits finds the lock free
  while (true) {
    {
      std::unique_lock lock(lane.mutex);
      lane.wake.wait(lock, [&] { return lane.ends || !lane.queue.empty(); });
      if (lane.queue.empty()) return;
      taken.swap(lane.queue);
    }
    for (; !taken.empty(); taken.pop_front()) {
      try {
        taken.front()->run(index);
      } catch (...) {
        std::lock_guard lock(failure_mutex_);
        if (!failure_) failure_ = std::current_exception();
        failed_.store(true, std::memory_order_release);
      }
    }
  }
}

}  // namespace trireme
