// Where a run's time goes, step by step.
#pragma once

#include <cstdint>

#include "telemetry/metrics.h"

namespace trireme {

// Of one step, seconds; compute is what is left.
struct StepTimes {
  double whole = 0;
  double data = 0;      // waiting for the loader
  double exchange = 0;  // waiting for other ranks
  double hidden = 0;    // exchanging while the step computed: no part of `whole`
};

// Sums over this start's steps, and over those since the last record.
class StepMeter {
 public:
  void add(const StepTimes& times, int64_t samples);
  void add_checkpoint(double seconds) { since_.checkpoint += seconds; }
  // Fills a record's rates and seconds with means over the steps since the last forget().
  void fill(TrainRecord& record) const;
  void forget() { since_ = {}; }

  int64_t steps() const { return all_.steps; }
  double samples_per_second() const;
  // Part of the steps' time that was spent waiting for data; 0 before the first step.
  double stall_fraction() const { return all_.whole > 0 ? all_.data / all_.whole : 0; }

 private:
  struct Sums {
    int64_t steps = 0, samples = 0;
    double whole = 0, data = 0, exchange = 0, hidden = 0, checkpoint = 0;
    void add(const StepTimes& times, int64_t count);
  };
  Sums all_;
  Sums since_;
};

}  // namespace trireme
