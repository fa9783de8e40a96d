// Threads that apply updates, each with a queue of its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace trireme {

// A lane is one thread and its queue: what is submitted to a lane runs in the order of submission. Shards
// give each of their blocks to one lane. Lanes that have nothing to do sleep.
class ApplyPool {
 public:
  class Work {
   public:
    virtual ~Work() = default;
    virtual void run(size_t lane) = 0;
  };

  // Throws CommError unless lanes is at least 1.
  explicit ApplyPool(size_t lanes);
  // Runs what was submitted, and ends. Shards that use it must be gone before.
  ~ApplyPool();
  ApplyPool(const ApplyPool&) = delete;
  ApplyPool& operator=(const ApplyPool&) = delete;

  size_t lanes() const { return lanes_.size(); }
  // `work` is run once on each of these lanes. Rethrows what work on any lane has thrown: updates are then
  // lost, and the server must not go on.
  void submit(std::span<const size_t> lanes, std::shared_ptr<Work> work);

 private:
  struct Lane {
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<std::shared_ptr<Work>> queue;
    bool ends = false;
    std::thread thread;
  };

  void run(size_t index);

  std::vector<std::unique_ptr<Lane>> lanes_;
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
  std::atomic<bool> failed_{false};
};

}  // namespace trireme
