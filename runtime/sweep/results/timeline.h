// When which ranks worked on what, as the records tell.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sweep/results.h"

namespace trireme {

// From a start of a worker until it is closed or dies.
struct SweepStart {
  int64_t worker = 0;
  int ranks = 1;
  double begin = 0, end = 0;  // seconds since 1970
  bool open = false;          // it runs, as far as one can tell
};

// A trial on its ranks, from beginning or resuming until it ends or pauses.
struct RankSpan {
  int64_t trial = 0;
  int64_t worker = 0;
  std::vector<int> ranks;  // of the worker's world, rising
  double begin = 0, end = 0;
  std::string how;  // as an end record's state; "running", or "lost" in a crash
};

struct Timeline {
  std::vector<SweepStart> starts;
  std::vector<RankSpan> spans;
  double rank_seconds = 0;  // that there were
  double busy_seconds = 0;  // of these, with a trial
  double seconds = 0;       // that the sweep ran, stops left out; of a job array those of its longest worker

  // 0 to 1; 0 before anything has been.
  double utilisation() const { return rank_seconds > 0 ? busy_seconds / rank_seconds : 0; }
};

// What has not ended lasts until `now`; or until the last sign of life of a sweep that is silent.
Timeline timeline_of(const SweepView& view, double now);

}  // namespace trireme
