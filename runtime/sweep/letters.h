// What a sweep's controller (channel 0 of rank 0) and its workers (channel 1 of every rank) tell each other:
// JSON texts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "sweep/runner.h"

namespace trireme {

constexpr int controller_channel = 0;
constexpr int worker_channel = 1;

// ---- from a worker to the controller ----

// The rank waits for its first order.
struct ReadyLetter {};

// From rank 0 of a trial's group, which waits for a VerdictLetter.
struct ReportLetter {
  int64_t trial = 0;
  TrialMeasure measure;
};

// From each rank of a trial's group; it is free now.
struct EndLetter {
  int64_t trial = 0;
  TrialEnd end;
  bool thrown = false;      // by an exception: the group's communicator cannot be used again
  double seconds = 0;       // since the order came
  double idle_seconds = 0;  // between its last end (or its readiness) and this trial's order
};

// The rank has been asked to stop, by a signal.
struct AskedToStopLetter {};

// ---- from the controller to a worker ----

// Begin a trial.
struct OrderLetter {
  TrialOrder order;
  std::vector<int> ranks;   // of the world, rising; the first one is the group's rank 0
  int group = 0;            // a number for these ranks
  bool make_group = false;  // it is made anew, in place of one of this number
  // The ranks that keep the trial's own state and that of its source, to be fetched by the group's rank 0;
  // -1: none.
  int own_at = -1;
  int own_ticket = 0;
  int64_t source = -1;
  int source_at = -1;
  int source_ticket = 0;
};

struct VerdictLetter {
  int64_t trial = 0;
  Verdict verdict;
};

// Give the state of `trial`, which this rank keeps, to rank `to`; `moves`: and forget it.
struct GiveLetter {
  int64_t trial = 0;
  int to = 0;
  int ticket = 0;
  bool moves = false;
};

// The state of `trial` is not needed any more.
struct ForgetLetter {
  int64_t trial = 0;
};

// Running trials save their state and end.
struct StopLetter {};

// The sweep is over. `stopped`: to be gone on with; `code` not 0: because of an error, which has this exit code.
struct LeaveLetter {
  bool stopped = false;
  int code = 0;
  std::string message;
};

// ---- from worker to worker ----

// A state whose pieces follow by Mailbox::post.
struct StateLetter {
  int64_t trial = 0;
  int ticket = 0;
  std::string description;  // describe_state()
};

using SweepLetter =
    std::variant<ReadyLetter, ReportLetter, EndLetter, AskedToStopLetter, OrderLetter, VerdictLetter,
                 GiveLetter, ForgetLetter, StopLetter, LeaveLetter, StateLetter>;

std::string to_text(const SweepLetter& letter);
// Throws CommError when it is none.
SweepLetter sweep_letter(std::string_view text);

}  // namespace trireme
