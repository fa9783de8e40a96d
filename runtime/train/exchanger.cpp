#include "train/exchanger.h"

#include <chrono>

#include "base/error.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

// Waking a thread takes some 50 microseconds, which a small net would feel at each bucket.
constexpr std::chrono::microseconds spin_time{50};

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

double seconds_since(Clock::time_point start) { return seconds_between(start, Clock::now()); }

template <class Condition>
void spin_until(Condition&& condition) {
  Clock::time_point start = Clock::now();
  while (!condition() && Clock::now() - start < spin_time) std::this_thread::yield();
}

}  // namespace

bool overlaps_exchange(const std::string& mode, int ranks, const Placement& placement, int threads) {
  if (ranks == 1 || mode == "off") return false;
  return mode == "on" || placement.threads() > threads;
}

Exchanger::Exchanger(bool overlap) {
  if (overlap) thread_ = std::thread([this] { run_jobs(); });
}

void Exchanger::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stops_ = true;
  }
  work_changed_.notify_one();
  thread_.join();
}

void Exchanger::reserve(size_t jobs) {
  std::lock_guard lock(mutex_);
  queue_.resize(queue_.size() + jobs);
}

void Exchanger::submit(ExchangeWork& work, size_t job) {
  if (!overlaps()) {
    StepPart part = timeline_ != nullptr ? timeline_->enter(StepPart::exchange) : StepPart::other;
    Clock::time_point start = Clock::now();
    work.exchange(job);
    exposed_seconds_ += seconds_since(start);
    if (timeline_ != nullptr) timeline_->enter(part);
    return;
  }
  {
    std::lock_guard lock(mutex_);
    if (failure_) std::rethrow_exception(failure_);
    uint64_t count = submitted_.load();
    if (count - done_.load() >= queue_.size()) {
      throw GraphError("exchange: more than the {} jobs reserved for a step", queue_.size());
    }
    queue_[count % queue_.size()] = {&work, job};
    submitted_ = count + 1;
  }
  work_changed_.notify_one();
}

ExchangeSeconds Exchanger::finish() {
  ExchangeSeconds seconds{exposed_seconds_, 0};
  exposed_seconds_ = 0;
  if (!overlaps()) return seconds;
  StepPart part = timeline_ != nullptr ? timeline_->enter(StepPart::exchange) : StepPart::other;
  seconds = wait();
  if (timeline_ != nullptr) timeline_->enter(part);
  return seconds;
}

ExchangeSeconds Exchanger::wait() {
  ExchangeSeconds seconds;
  Clock::time_point start = Clock::now();
  {
    std::lock_guard lock(mutex_);
    seconds.hidden = busy_seconds_ + (running_ ? seconds_between(began_, start) : 0.0);
  }
  spin_until([this] { return idle(); });
  std::unique_lock lock(mutex_);
  done_changed_.wait(lock, [this] { return failure_ || idle(); });
  if (failure_) std::rethrow_exception(failure_);
  seconds.exposed = seconds_since(start);
  busy_seconds_ = 0;
  return seconds;
}

// The thread. After a failure the queue stays as it is: nobody submits any more.
void Exchanger::run_jobs() {
  while (true) {
    spin_until([this] { return stops_ || !idle(); });
    Job job;
    {
      std::unique_lock lock(mutex_);
      work_changed_.wait(lock, [this] { return stops_ || !idle(); });
      if (stops_) return;
      job = queue_[done_.load() % queue_.size()];
      running_ = true;
      began_ = Clock::now();
    }
    std::exception_ptr failure;
    try {
      job.work->exchange(job.number);
    } catch (...) {
      failure = std::current_exception();
    }
    {
      std::lock_guard lock(mutex_);
      running_ = false;
      Clock::time_point end = Clock::now();
      busy_seconds_ += seconds_between(began_, end);
      if (timeline_ != nullptr) timeline_->exchange_done({began_, end, static_cast<int64_t>(job.number)});
      failure_ = failure;
      if (!failure) done_ = done_.load() + 1;
    }
    done_changed_.notify_one();
    if (failure) return;
  }
}

}  // namespace trireme
