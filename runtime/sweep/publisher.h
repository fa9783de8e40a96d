// The thread that does what nobody waits for: files and tables for people, and checkpoints that go.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "sweep/results.h"

namespace trireme {

// The trials whose checkpoints may go, by sweep.keep_checkpoints ("best": all but those on the Pareto front),
// of those that are over; none of another worker's.
std::vector<int64_t> dispensable_checkpoints(const History& history, const std::string& keep, int64_t worker);

class Publisher {
 public:
  struct Setting {
    std::filesystem::path folder;
    int64_t worker = 0;
    std::string keep_checkpoints;
    // States of trials that are over are taken over by others: no checkpoint goes before the end.
    bool keeps_until_end = false;
    // Called in this thread every `interval_seconds`, and once at the end.
    std::function<void(const SweepView& view, bool last)> publish;
    double interval_seconds = 0.25;
  };
  Publisher(Setting setting, SweepView view);
  ~Publisher();  // without finish(): leaves at once
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  void feed(const Record& record, int64_t worker);
  // Publishes what is left, and waits for that. Throws what publishing threw, whenever that was.
  void finish();

 private:
  void work();
  void take(std::deque<SweepEvent> events);
  void remove_checkpoints(bool last);

  Setting setting_;
  SweepView view_;  // the thread's
  std::set<int64_t> removed_;
  std::mutex mutex_;
  std::condition_variable over_;
  std::deque<SweepEvent> events_;
  bool ending_ = false;
  bool finishing_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace trireme
