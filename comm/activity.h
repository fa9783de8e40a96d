// What this process is doing, so that a watchdog, here or on another host, can tell it in words.
#pragma once

#include <atomic>
#include <cstdint>

namespace trireme {

// Written by the threads that do the work (relaxed stores, a few nanoseconds each), read at any moment by a
// thread that watches. All names are string literals: the pointers stay good for ever.
class Activity {
 public:
  // What is read: a moment's picture, its parts not taken at exactly the same time.
  struct Snapshot {
    uint64_t begun = 0;          // collectives this rank has come to so far
    uint64_t done = 0;           // and left again; less than `begun` while it waits for others in one
    const char* operation = "";  // the last collective begun: "all_reduce"
    const char* phase = "";      // "start", "loading", "training", "validation", "checkpoint", "end"
    int64_t step = -1;           // of training; -1 before the first
    bool resumable = false;      // a good checkpoint exists that this run can go on from
  };

  // Collectives of one communicator are called by one thread at a time and in the same order on all ranks, so
  // `begun` numbers them alike everywhere.
  void begin_operation(const char* name) {
    operation_.store(name, std::memory_order_relaxed);
    begun_.store(begun_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void end_operation() { done_.store(begun_.load(std::memory_order_relaxed), std::memory_order_relaxed); }
  void begin_phase(const char* name) { phase_.store(name, std::memory_order_relaxed); }
  void set_step(int64_t step) { step_.store(step, std::memory_order_relaxed); }
  void set_resumable(bool yes) { resumable_.store(yes, std::memory_order_relaxed); }

  Snapshot snapshot() const {
    return {begun_.load(std::memory_order_relaxed),     done_.load(std::memory_order_relaxed),
            operation_.load(std::memory_order_relaxed), phase_.load(std::memory_order_relaxed),
            step_.load(std::memory_order_relaxed),      resumable_.load(std::memory_order_relaxed)};
  }

 private:
  std::atomic<uint64_t> begun_{0};
  std::atomic<uint64_t> done_{0};
  std::atomic<const char*> operation_{""};
  std::atomic<const char*> phase_{"start"};
  std::atomic<int64_t> step_{-1};
  std::atomic<bool> resumable_{false};
};

}  // namespace trireme
