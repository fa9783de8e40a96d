// How far a run is: a bar on a terminal, a plain line now and then in a batch job's log.
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <string>

#include "telemetry/log.h"

namespace trireme {

// Where a run is, as update() is told.
struct ProgressPoint {
  int64_t step = 0;            // steps done
  int64_t epoch = 0;           // the epoch that runs, 1 for the first
  int64_t samples = 0;         // seen so far, over all ranks
  double loss = std::nan("");  // of the last step known; nan: not known yet
  std::string note = {};       // more to be seen: "4 workers, staleness 3.1"; may be empty
};

// Only rank 0 shows anything, but any rank may have one. update() costs a clock read unless it is time to
// draw (10 times a second on a terminal; a line about every 10 s otherwise, and into log.txt in both cases).
class Progress {
 public:
  struct Options {
    int64_t total_steps = 0;  // 0: unknown
    int64_t total_epochs = 0;
    int64_t first_step = 0;  // resumed from
    int64_t first_samples = 0;
    double line_seconds = 10;   // between plain lines
    double draw_seconds = 0.1;  // between drawings of the bar
  };

  Progress(Logger& logger, const Options& options);
  ~Progress();  // takes the bar away
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(const ProgressPoint& point);
  // A plain line whatever the time, for ends of epochs.
  void epoch_end(const ProgressPoint& point);
  // The run has gone back to `point`: rates count from there.
  void go_back(const ProgressPoint& point);
  // Takes the bar away; the next update() brings it back.
  void clear();

  // One line: "step 938/4690  epoch 2/5  loss 0.4312  12345 samples/s  01:23 left". For tests and drawing.
  std::string line(const ProgressPoint& point) const;
  // The same with a bar in front, cut to `columns`.
  std::string bar(const ProgressPoint& point, int columns) const;

 private:
  using Clock = std::chrono::steady_clock;
  double rate(const ProgressPoint& point) const;          // samples per second, recent; 0 when unknown
  double seconds_left(const ProgressPoint& point) const;  // < 0 when unknown
  double blend(double done_since_mark, double former) const;
  void plain_line(const ProgressPoint& point, Clock::time_point now);
  void move_mark(const ProgressPoint& point, Clock::time_point now);

  Logger& logger_;
  Options options_;
  Clock::time_point next_draw_;
  Clock::time_point next_line_;
  // The rate is taken since the mark, which moves on every few seconds.
  Clock::time_point mark_time_;
  int64_t mark_samples_ = 0;
  int64_t mark_step_ = 0;
  double recent_rate_ = 0;       // samples per second
  double recent_step_rate_ = 0;  // steps per second
};

}  // namespace trireme
