// Who decides which trials go on. A scheduler is a pure function of (settings, seed, history), so a journal
// that is read back gives the same decisions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/sweep_config.h"
#include "sweep/history.h"
#include "sweep/space.h"

namespace trireme {

struct Verdict {
  enum class Kind {
    go_on,
    stop,   // the trial is over
    pause,  // its state is kept, its ranks are free; take_up() may name it later
  };
  Kind kind = Kind::go_on;
  std::string reason = {};  // "rung 1 (3 epochs): 7th of 9"
};

// A paused trial that shall go on.
struct TakeUp {
  int64_t trial = 0;
  // Not -1: with the state of this trial. It is paused or finished, or has been paused and is running again:
  // then with the state that it had at its last pause. Where that state is no more (a rank that died, another
  // job), the trial goes on with its own, and its begin record names no source.
  int64_t source = -1;
  Point point = {};  // with a source: the values from now on
};

// What could be begun now.
struct Openings {
  // Whether this paused trial could: there are free ranks for its width and, in a job array, it is this
  // job's.
  std::function<bool(const Trial& trial)> fits;
  // Whether a new trial may still come, now or later: neither the budget nor the sampler is used up.
  bool more_new = true;
};

// The controller asks take_up() whenever ranks are free, then wants_new() and the sampler. When nothing runs
// or waits, take_up() names nothing and no new trial may be begun (for want of budget, points, or
// wants_new()), the sweep is done: trials that are paused then are over, "stopped", for "not promoted" or the
// like.
class Scheduler {
 public:
  virtual ~Scheduler() = default;
  // About `trial`, whose newest report is in the history. Asked once a report. A trial at its last epoch
  // finishes by itself: the answer is go_on.
  virtual Verdict judge(const History& history, int64_t trial) = 0;
  // A paused trial that shall go on now.
  virtual std::optional<TakeUp> take_up(const History& history, const Openings& openings) = 0;
  // Whether a new trial may be begun now (a population is full).
  virtual bool wants_new(const History& history) {
    (void)history;
    return true;
  }
  // Whether states of trials that have paused must be at hand for others (TakeUp::source).
  virtual bool copies_states() const { return false; }
};

// By the name of sweep.scheduler: none median asha hyperband pbt ltfb, one file each in schedulers/.
// max_epochs: train.epochs of the base config. `space` outlives it. Throws ConfigError naming the key.
std::unique_ptr<Scheduler> make_scheduler(const SweepConfig& config, const Space& space, int64_t max_epochs);
std::vector<std::string_view> scheduler_names();

}  // namespace trireme
