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
  int64_t source = -1;  // not -1: with the state of this trial, and with the values of `point`
  Point point = {};
};

class Scheduler {
 public:
  virtual ~Scheduler() = default;
  // About `trial`, whose newest report is in the history. Asked once a report.
  virtual Verdict judge(const History& history, int64_t trial) = 0;
  // A paused trial that shall go on now, asked whenever ranks are free, before the sampler is. `fits`:
  // whether there are free ranks for a trial of this width.
  virtual std::optional<TakeUp> take_up(const History& history,
                                        const std::function<bool(int width)>& fits) = 0;
  // Whether a new trial may be begun now (a population is full, a bracket waits).
  virtual bool wants_new(const History& history) {
    (void)history;
    return true;
  }
  // Whether states of paused trials must be at hand for others (TakeUp::source).
  virtual bool copies_states() const { return false; }
};

// By the name of sweep.scheduler: none median asha hyperband pbt ltfb, one file each in schedulers/.
// max_epochs: train.epochs of the base config. `space` outlives it. Throws ConfigError naming the key.
std::unique_ptr<Scheduler> make_scheduler(const SweepConfig& config, const Space& space, int64_t max_epochs);
std::vector<std::string_view> scheduler_names();

}  // namespace trireme
