// The coordinator's bookkeeping: from workers' reports of single pieces to records of steps.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "comm/parameter_server/messages.h"
#include "comm/parameter_server/server.h"
#include "telemetry/metrics.h"
#include "train/parameter_server/clocks.h"
#include "train/parameter_server/figures.h"
#include "train/session.h"

namespace trireme {

// A clock of which all pieces are done. Losses are means over the global batch.
struct DoneClock {
  int64_t clock = 0;
  std::optional<PieceFigures> sums;  // nothing where some of its reports went to a coordinator that died
};

class RunRecords {
 public:
  // `pieces`: of a clock. `resumed`: where the run began. References outlive it.
  RunRecords(const Session& session, const Clocks& clocks, int64_t pieces, const RunPosition& resumed);

  // Takes a report in; returns the clocks that are whole with it, in order. `clocks_done`: see ServerEvents.
  std::vector<DoneClock> take(const TicketReport& report, int64_t clocks_done);

  // Samples seen after `step` steps.
  int64_t samples(int64_t step) const;
  // The record of the clocks since the last record, `clock` the last of them, and of its own time. Forgets
  // them.
  TrainRecord train_record(const DoneClock& clock);
  ParameterServerRecord server_record(int64_t step, const ServerFigures& figures);
  // For the progress line: "3 workers, staleness 1.2".
  std::string note(const ServerFigures& figures) const;
  double mean_staleness() const { return mean_staleness_; }

  double samples_per_second() const;                  // of this start
  double data_stall_fraction() const;                 // of the workers' time
  int64_t skipped_steps() const { return skipped_; }  // of this start: no piece of them counted

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Whole {
    int64_t reports = 0;
    PieceFigures sums;
  };
  struct Seconds {
    double wait = 0, exchange = 0, compute = 0, data = 0;
    int64_t pieces = 0;
    double all() const { return wait + exchange + compute + data; }
  };
  struct OfWorker {
    int64_t pieces = 0;
    double wait_seconds = 0;
  };
  void add(const TicketReport& report, const PieceFigures& figures);

  const Session& session_;
  const Clocks& clocks_;
  int64_t pieces_;
  RunPosition resumed_;
  int64_t told_clocks_;  // clocks below have been returned
  std::map<int64_t, Whole> open_;
  Time begin_, last_train_, last_server_;
  int64_t last_train_step_;
  int64_t samples_done_ = 0;   // by this start
  int64_t samples_since_ = 0;  // the last train record
  int64_t skipped_ = 0;
  Seconds since_, all_;
  std::map<int32_t, OfWorker> workers_;
  uint64_t pushed_bytes_ = 0, pulled_bytes_ = 0, torn_blocks_ = 0;
  int64_t tickets_ = 0;
  double staleness_sum_ = 0;
  double mean_staleness_ = 0;  // of the last server record
  std::vector<uint64_t> told_staleness_;
};

}  // namespace trireme
