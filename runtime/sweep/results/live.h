// A sweep as people follow it while it runs: a table on a terminal, else a line now and then, and the files
// of its folder.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "sweep/results.h"
#include "telemetry/log.h"

namespace trireme {

struct LiveOptions {
  std::filesystem::path folder;
  double table_seconds = 0.25;  // between two drawings, at least
  double line_seconds = 10;  // where there is no terminal: between two lines, at least once a trial has ended
  double files_seconds = 30;  // between two writings of sweep.jsonl and report.html, at least
};

// How a sweep calls it: rank 0 makes one beside its Logger, and a thread that nobody waits for (the
// publisher's) calls update() several times a second with a view of its own, also when nothing has happened
// (the clock and the curves' ends move), and once more with last = true when the sweep is over. It takes no
// lock but the Logger's and keeps nothing of the view. What it does at a call is bounded by what it cost
// before: drawing takes at most a fiftieth of its thread's time, writing files too.
//
// - On a terminal the table is the logger's status: it stays below all that is logged, and goes at the end.
// - Elsewhere a line tells of trials that have ended, at most one in line_seconds but for a new best and for
//   what ends after a long time. All such lines get into log.txt, either way.
// - best.toml is written when another trial has become the best, sweep.jsonl and report.html now and then;
//   all of them at the end. The table then is logged once more, to stay.
class Live {
 public:
  // `logger` outlives it.
  Live(Logger& logger, LiveOptions options);

  // `now`: seconds since 1970. Throws, at the last call, what write_best(), write_trials() and write_report()
  // throw; before that a file that cannot be written is a warning, once.
  void update(const SweepView& view, double now, bool last);

 private:
  using Clock = std::chrono::steady_clock;
  // Something that is done again after a while, the longer the more it costs.
  struct Paced {
    double least_seconds = 0;
    Clock::time_point next = {};
    bool is_due(Clock::time_point time) const { return time >= next; }
    void done(Clock::time_point began);
  };

  void tell_ends(const SweepView& view, double now, bool last);
  void write_files(const SweepView& view, double now, bool last);

  Logger& logger_;
  LiveOptions options_;
  Paced table_, files_;
  Clock::time_point next_line_;
  size_t events_ = 0;         // seen so far
  int64_t ended_ = 0;         // trials that ended and of which no line has told
  bool ended_since_ = false;  // since the files were written
  std::vector<int64_t> front_, told_front_, written_front_;
  std::vector<double> told_scores_;  // of the first of the front: the lowest since it came there
  std::string warned_;
};

}  // namespace trireme
