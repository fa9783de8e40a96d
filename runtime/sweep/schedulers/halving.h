// Asynchronous successive halving, which asha and hyperband share: rungs, who has reached them, who goes on.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sweep/scheduler.h"

namespace trireme {

// Rungs in epochs, rising: min_epochs * reduction^k, and max_epochs on top. A rung that is nearer to the top
// than the square root of `reduction` (9 of 10 epochs) is left out: its losers would have saved next to
// nothing. Throws ConfigError naming sweep.TABLE.KEY where there is no rung below the top.
std::vector<int64_t> rungs_of(const SweepConfig& config, const HalvingConfig& halving, std::string_view table,
                              int64_t max_epochs);

// Successive halving in its promotion form (Li et al., "A system for massively parallel hyperparameter
// tuning", MLSys 2020, algorithm 2; arXiv 1810.05934) over one or several brackets, each with a subset of the
// trials.
//
// A trial pauses at each rung. Of the n trials of a bracket that have reached a rung (failed ones apart), the
// best floor(n / reduction) may go on to the next: at once where a trial is among them on arrival, and later
// where others that arrive turn out to be worse. Ranks that are free promote from the highest rung down, over
// all brackets; where nobody may be promoted they begin a new trial, so nobody ever waits.
class Halving : public Scheduler {
 public:
  // Bracket b has the rungs rungs[b], rungs[b + 1], ...
  Halving(std::vector<int64_t> rungs, int64_t brackets, int64_t reduction, bool at_best);

  Verdict judge(const History& history, int64_t trial) override;
  std::optional<TakeUp> take_up(const History& history, const Openings& openings) override;

 protected:
  // In [0, brackets): a pure function of the trial's number.
  virtual int64_t bracket_of(int64_t trial) const = 0;

 private:
  // The numbers of the bracket's trials that have reached the rung, best first; of equals the lower.
  std::vector<int64_t> ranking(const History& history, int64_t bracket, size_t rung) const;
  // The highest rung of its bracket that so many epochs have reached; -1: none.
  int64_t rung_reached(int64_t bracket, int64_t epochs) const;

  std::vector<int64_t> rungs_;
  int64_t brackets_;
  int64_t reduction_;
  bool at_best_;
};

}  // namespace trireme
