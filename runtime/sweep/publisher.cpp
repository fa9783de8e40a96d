#include "sweep/publisher.h"

#include <algorithm>
#include <chrono>
#include <system_error>

#include "sweep/logic.h"
#include "train/job_end.h"

namespace trireme {

std::vector<int64_t> dispensable_checkpoints(const History& history, const std::string& keep,
                                             int64_t worker) {
  if (keep == "all") return {};
  std::vector<int64_t> front;
  if (keep == "best") front = pareto_front(history.trials());
  std::vector<int64_t> found;
  for (const Trial& trial : history.trials()) {
    if (!trial.is_over() || history.worker_of(trial.number) != worker) continue;
    if (std::find(front.begin(), front.end(), trial.number) == front.end()) found.push_back(trial.number);
  }
  return found;
}

Publisher::Publisher(Setting setting, SweepView view)
    : setting_(std::move(setting)), view_(std::move(view)), thread_([this] { work(); }) {}

Publisher::~Publisher() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  over_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Publisher::feed(const Record& record, int64_t worker) {
  std::lock_guard lock(mutex_);
  events_.push_back({worker, record});
}

void Publisher::finish() {
  {
    std::lock_guard lock(mutex_);
    finishing_ = true;
  }
  over_.notify_one();
  thread_.join();
  if (error_) std::rethrow_exception(error_);
}

void Publisher::work() {
  auto interval = std::chrono::duration<double>(setting_.interval_seconds);
  std::unique_lock lock(mutex_);
  while (!ending_) {
    over_.wait_for(lock, interval, [&] { return ending_ || finishing_; });
    if (ending_) return;
    bool last = finishing_;
    std::deque<SweepEvent> events = std::exchange(events_, {});
    lock.unlock();
    try {
      take(std::move(events));
      remove_checkpoints(last);
      view_.last_sign = JobEnd::unix_seconds();
      if (setting_.publish) setting_.publish(view_, last);
    } catch (...) {
      // The sweep goes on; whoever ends it hears of it. The next attempt may succeed.
      error_ = std::current_exception();
    }
    lock.lock();
    if (last) return;
  }
}

void Publisher::take(std::deque<SweepEvent> events) {
  for (SweepEvent& event : events) view_.add(std::move(event));
}

void Publisher::remove_checkpoints(bool last) {
  if (setting_.keeps_until_end && !last) return;
  for (int64_t trial : dispensable_checkpoints(view_.history, setting_.keep_checkpoints, setting_.worker)) {
    if (!removed_.insert(trial).second) continue;
    std::error_code ignored;  // what stays is tried again at the next start
    std::filesystem::remove_all(trial_folder(setting_.folder, trial) / "checkpoints", ignored);
  }
}

}  // namespace trireme
