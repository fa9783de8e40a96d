// The thread in which suggestions are worked out, so that reports are answered while a sampler thinks. One
// that does not think for long is asked at once, by whoever asks.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "sweep/history.h"
#include "sweep/logic.h"
#include "sweep/sampler.h"
#include "sweep/space.h"

namespace trireme {

class Suggester {
 public:
  // past: the history so far, of which the thread has a copy of its own. trial_config as in
  // SweepLogic::Setting; width_of: the ranks of a trial. References outlive it.
  Suggester(Sampler& sampler, const Space& space, History past,
            std::function<std::string(const Point&)> trial_config, std::function<int(const Point&)> width_of);
  ~Suggester();  // waits for the suggestion that is being worked out
  Suggester(const Suggester&) = delete;
  Suggester& operator=(const Suggester&) = delete;

  // What has happened since, in order.
  void feed(const Record& record, int64_t worker);
  // For the trial `number`, from all that was fed until now. One at a time.
  void ask(int64_t number);
  struct Answer {
    std::optional<Proposal> proposal;  // nothing: there is no further point
  };
  // Waits for it so long. Throws what the sampler threw.
  std::optional<Answer> answer(double timeout_seconds);

 private:
  void work();
  void work_out(int64_t number, std::unique_lock<std::mutex>& lock);
  Answer suggest(int64_t number);

  Sampler& sampler_;
  const Space& space_;
  std::function<std::string(const Point&)> trial_config_;
  std::function<int(const Point&)> width_of_;
  History history_;  // of whoever works a suggestion out
  std::mutex mutex_;
  std::condition_variable asked_, answered_;
  std::deque<std::pair<Record, int64_t>> records_;
  std::optional<int64_t> number_;
  std::optional<Answer> answer_;
  std::exception_ptr error_;
  double last_seconds_ = 1;  // that a suggestion took
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace trireme
