// A rank of a sweep: waits for orders, runs trials, keeps the states that paused trials leave.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>

#include "comm/mailbox.h"
#include "sweep/letters.h"
#include "sweep/runner.h"
#include "train/kept_state.h"

namespace trireme {

// All calls by one thread. While a trial trains, letters are looked at whenever the runner asks whether to
// stop (each step).
class SweepWorker {
 public:
  // stop_requested: whether this rank has been asked to stop, by a signal; empty: somebody else looks.
  SweepWorker(Meeting& meeting, const TrialRunner& runner, std::function<bool()> stop_requested);
  ~SweepWorker();
  SweepWorker(const SweepWorker&) = delete;
  SweepWorker& operator=(const SweepWorker&) = delete;

  // Until the sweep is over. Returns whether it was stopped, to be gone on with. Throws Error with the controller's code and message when an error ended it, and
  // CommError.
  bool run();

 private:
  using Clock = std::chrono::steady_clock;
  // A state on its way to another rank.
  struct Giving {
    int64_t trial = 0;
    std::optional<KeptState> moved;         // its memory, where it is no longer kept here
    std::unique_ptr<Mailbox::Posting> posting;
  };

  void send(const SweepLetter& letter);  // to the controller
  void handle(Letter letter);
  void take_note(OrderLetter order);
  // Takes what has come; waits for the first letter so long.
  void poll(double timeout_seconds);
  void give(const GiveLetter& letter);
  void finish_giving(int64_t trial);
  void forget(int64_t trial);
  void fetch(int64_t trial, int from, int ticket, KeptState& state);
  void bring_states(const OrderLetter& letter);
  Communicator& group_of(const OrderLetter& letter);
  TrialEnd run_trial(const OrderLetter& letter, bool& thrown);
  void take_order(const OrderLetter& letter);
  Verdict ask(int64_t trial, const TrialMeasure& measure);
  bool asked_to_stop();
  void leave_if_told();

  Meeting& meeting_;
  const TrialRunner& runner_;
  std::function<bool()> stop_requested_;
  std::unique_ptr<Mailbox> mailbox_;
  std::map<int, std::unique_ptr<Communicator>> groups_;  // by OrderLetter::group
  std::map<int64_t, KeptState> kept_;                    // by trial
  std::list<Giving> givings_;
  int64_t running_ = -1;   // the trial whose state may change
  int64_t bringing_ = -1;  // the trial whose state is on its way to here
  KeptState source_;       // of an order, where it is kept here
  std::vector<GiveLetter> deferred_;
  std::optional<OrderLetter> order_;
  Clock::time_point order_came_;
  Clock::time_point free_since_;
  std::optional<VerdictLetter> verdict_;
  std::map<int, std::pair<int, StateLetter>> states_;  // by ticket: who sends, and what
  std::optional<LeaveLetter> leave_;
  bool stopping_ = false;
  bool finished_ = false;  // run() has come to its end
  bool told_of_stop_ = false;
  Clock::time_point polled_;
};

}  // namespace trireme
