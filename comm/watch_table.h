// What rank 0's watchdog knows of all ranks, and what it makes of it. Plain values: no sockets, no clock of
// its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/activity.h"

namespace trireme {

// A rank's Activity as it travels.
struct RankStatus {
  uint64_t begun = 0;
  uint64_t done = 0;
  int64_t step = -1;
  uint32_t resumable = 0;
  char operation[28] = {};
  char phase[28] = {};
  bool waits() const { return begun > done; }
};
RankStatus status_of(const Activity::Snapshot& snapshot);

// All times are seconds on one clock.
class WatchTable {
 public:
  // hosts: by rank. A rank counts as heard of at `now`.
  WatchTable(std::vector<std::string> hosts, double timeout_seconds, double now);

  void hear(int rank, const RankStatus& status, double now);
  // It has no watchdog that can be heard: it is not judged.
  void do_without(int rank);
  // It has said goodbye.
  void leave(int rank);
  // It has said that it fails and ends the job itself; that is given failing_seconds.
  void fail(int rank, double now);
  // Its connection is gone without a word.
  void lose(int rank);

  // Why the job must end, in one line, or nothing:
  // - a rank is lost;
  // - a rank has failed and the job has not ended since;
  // - nothing has been heard of a rank for timeout_seconds: stopped, or its host is cut off;
  // - a rank has waited in one operation for timeout_seconds: those that have come to fewer operations are
  // named; where
  //   all have come to it, nothing gets through.
  std::optional<std::string> judge(double now) const;
  // Some rank's process is gone.
  bool anyone_lost() const;
  // Some rank knows of a checkpoint to go on from.
  bool resumable() const;

  static constexpr double failing_seconds = 10;

 private:
  enum class State : uint8_t { here, unwatched, left, failing, lost };
  struct Entry {
    std::string host;
    State state = State::here;
    RankStatus status = {};
    double heard = 0;   // last
    double moved = 0;   // its counters last changed
    double failed = 0;  // when it said so
  };
  std::string who(size_t rank) const;
  std::string ranks_text(const std::vector<size_t>& ranks) const;
  std::optional<std::string> judge_waiting(double now) const;
  std::optional<std::string> judge_silent(double now) const;

  std::vector<Entry> ranks_;
  double timeout_;
};

}  // namespace trireme
