// Where a step's exchanges run: in a communication thread while the step goes on computing, or at once.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "exec/step_timeline.h"
#include "train/placement.h"

namespace trireme {

// What has exchanges to run; they are numbered in a way of its own.
class ExchangeWork {
 public:
  virtual ~ExchangeWork() = default;
  // Calls blocking collectives, from the thread that may use the communicator now.
  virtual void exchange(size_t job) = 0;
};

// Seconds of a step. Both hold the time that other ranks were late by.
struct ExchangeSeconds {
  double exposed = 0;  // the step waited for exchanges
  double hidden = 0;   // exchanges went on while the step computed
  ExchangeSeconds& operator+=(const ExchangeSeconds& other) {
    exposed += other.exposed;
    hidden += other.hidden;
    return *this;
  }
};

// Whether this rank could exchange in a thread of its own. `mode` is comm.overlap: "on", "off", or "auto":
// where the rank has a core to spare beside the `threads` that compute (leave one by train.threads). A run
// does it where all ranks can.
bool overlaps_exchange(const std::string& mode, int ranks, const Placement& placement, int threads);

// MPI's nonblocking collectives do not progress while nobody is inside of MPI, so a thread calls blocking
// ones:
//
// 1. submit() puts a job into a queue and returns.
// 2. The thread takes jobs in order and runs each to its end; without work it sleeps.
// 3. finish() waits until all are done. Until then nobody else may call a collective of the same
// communicator.
//
// All nets of a learner share one, so that all ranks call their collectives in one order.
//
// What a job throws comes out of submit() or finish(), in the step's own thread, once and for ever.
class Exchanger {
 public:
  explicit Exchanger(bool overlap);
  ~Exchanger() { stop(); }
  Exchanger(const Exchanger&) = delete;
  Exchanger& operator=(const Exchanger&) = delete;

  // Between steps. Tells `timeline` (null: nobody) how the step's thread waits or exchanges, and what the
  // communication thread does meanwhile.
  void observe(StepTimeline* timeline) { timeline_ = timeline; }
  bool overlaps() const { return thread_.joinable(); }
  // Before the first submit: room for `jobs` more between two calls of finish(), so that a step allocates
  // nothing.
  void reserve(size_t jobs);
  // `work` stays until the next finish(). Throws what a job has thrown, and GraphError where more jobs come
  // than were reserved.
  void submit(ExchangeWork& work, size_t job);
  // The seconds since the last finish(). Throws what a job has thrown.
  ExchangeSeconds finish();
  // The end, to be called by whoever has submitted before it goes: drops jobs that have not begun and waits
  // for the one that has. That cannot hang for good where ranks fail: the one of them that is furthest behind
  // has peers for every collective that it has begun, gets through here, and ends the others (see
  // run_main.cpp). Nothing may be submitted afterwards.
  void stop();

 private:
  struct Job {
    ExchangeWork* work = nullptr;
    size_t number = 0;
  };
  void run_jobs();
  ExchangeSeconds wait();
  bool idle() const { return done_.load() == submitted_.load(); }

  std::vector<Job> queue_;  // a ring
  std::mutex mutex_;        // of everything below, but that the counters may be read at any time
  std::condition_variable work_changed_, done_changed_;
  std::atomic<uint64_t> submitted_{0};
  std::atomic<uint64_t> done_{0};
  std::atomic<bool> stops_{false};
  std::exception_ptr failure_;
  bool running_ = false;  // a job, since began_
  std::chrono::steady_clock::time_point began_;
  double busy_seconds_ = 0;     // of jobs done in the thread since the last finish()
  double exposed_seconds_ = 0;  // of exchanges that ran at once
  StepTimeline* timeline_ = nullptr;
  std::thread thread_;  // last: it uses the others
};

}  // namespace trireme
