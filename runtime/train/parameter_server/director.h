// What the coordinating server does beside serving: the run directory, metrics, validation, checkpoints, the
// end.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/claim.h"
#include "comm/parameter_server/server.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"
#include "telemetry/progress.h"
#include "train/parameter_server/clocks.h"
#include "train/parameter_server/mirror.h"
#include "train/parameter_server/records.h"
#include "train/parameter_server/setting.h"
#include "train/run_directory.h"
#include "train/saving.h"

namespace trireme {

// Of server 0 from the start, of its successor from when it succeeds. All functions are called by one thread,
// the server's main one, while the server goes on serving.
class Director {
 public:
  struct Start {
    const ProcessSetting& setting;
    Mirror& mirror;
    const Clocks& clocks;
    int64_t pieces = 1;
    RunClaim& claim;
    Logger& log;
    bool succeeds = false;  // the metrics and the log are gone on with
  };
  // Opens metrics, writes the config, begins to save. Throws IoError.
  explicit Director(const Start& start);

  // A piece is done. `figures`: asked for where they are told.
  void on_ticket(const TicketReport& report, int64_t clocks_done,
                 const std::function<ServerFigures()>& figures);
  // The state after all clocks below `clock`. Calls `taken` as soon as it is copied; then validates and saves
  // what is due. `last`: the run ends here; returns how, with summary.json written. Throws DivergenceError,
  // DataError, IoError, ClaimError.
  std::optional<EndOfJob> on_cut(int64_t clock, std::span<const StateRow> rows, bool last,
                                 const std::function<void()>& taken);
  // The run had come to its last step before: validates what a stop has kept it from, and ends.
  EndOfJob end_without_steps();
  // Tells of saves; whether there is a checkpoint that the run can go on from.
  bool tell_of_saves();
  // The job has ended by no word of this one's: leaves a summary that says so. Never throws.
  void leave_summary(Outcome outcome, const std::string& error) noexcept;

 private:
  void tell(const DoneClock& clock, const std::function<ServerFigures()>& figures);
  bool validation_due() const;
  void run_validation();
  void save(bool must);
  EndOfJob end();
  Summary summary(Outcome outcome) const;
  int64_t validation_step() const { return position_.validation ? position_.validation->step : -1; }
  const Config& config() const { return start_.setting.config; }
  Session& session() { return start_.mirror.session(); }
  const Session& session() const { return start_.mirror.session(); }
  double train_seconds() const;
  Progress::Options progress_options() const;

  Start start_;
  RunDirectory directory_;
  RunPosition resumed_, position_;
  RunRecords records_;
  std::unique_ptr<MetricsWriter> metrics_;
  Progress progress_;
  Saving saving_;
  double begin_;
  int64_t saved_step_, saved_validation_;
  double startup_seconds_ = 0;
  double loss_scale_ = 0;
  std::string note_;
};

}  // namespace trireme
