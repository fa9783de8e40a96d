// Saving a run, as its ranks do it together: one writer a host, beside the training.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "checkpoint/claim.h"
#include "checkpoint/saver.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"
#include "train/session.h"

namespace trireme {

// Of one start; rank 0 knows, the others count stalls alone.
struct SavingFigures {
  int64_t newest_step = 0;  // of those written
  int64_t written = 0;
  int64_t failed = 0;
  double stall_seconds = 0;
};

// Which checkpoints the config wants kept.
KeepRule keep_rule(const CheckpointConfig& config);

// The lowest rank of each host writes that host's part of the state, where all hosts see the run directory
// (tried at the start); else rank 0 writes all of it. What a save does is Saver's.
//
// A save that falls due while the one before is still being written waits for it: no save is overtaken,
// checkpoints are at the steps that the config says, and a run that dies loses one interval at most, and the
// time of one save.
class Saving {
 public:
  // Collective. `claim` and `metrics` are null but on rank 0. The state's layout is prepared beside the first
  // steps.
  Saving(Session& session, const std::filesystem::path& checkpoints, const RunClaim* claim,
         MetricsWriter* metrics, const TrainHooks& hooks, Logger& log);

  // Collective: copies the state at `position`, and leaves its writing to the writers. What fails from here
  // on is told, counted, and costs the run nothing but this checkpoint. False when a parameter is no finite
  // number: then nothing is saved.
  bool save(const RunPosition& position);
  // Collective: waits until all is written.
  void settle();
  // Collective: settle(), and the checkpoint of `step` has been written and is read back and found good; else
  // throws IoError on all ranks.
  void require(int64_t step);
  // Collective: checkpoints written by this start.
  int64_t written();
  // Tells of saves that have ended: log, metrics, hooks. Cheap: asked at every step. Throws ClaimError when
  // another start has taken over the run.
  void tell();

  const SavingFigures& figures() const { return figures_; }

 private:
  bool leads() const { return saver_ != nullptr; }
  bool rank_zero() const { return session_.communicator.rank() == 0; }
  int64_t worst(int64_t own);
  void wait_together(const std::function<bool()>& busy);
  void wait_for_writers();
  // What became of the copy on this rank, the worse the greater.
  enum Verdict : int64_t { copied, failed, not_finite };
  Verdict copy(const RunPosition& position);
  void collect_spread_slots(bool take);
  void warn_of_missing_figure(const RunPosition& position);
  void tell_failure(int64_t step, const std::string& error);

  Session& session_;
  std::filesystem::path checkpoints_;
  MetricsWriter* metrics_;
  const TrainHooks& hooks_;
  Logger& log_;
  std::unique_ptr<Saver> saver_;
  int shards_ = 1;
  SavingFigures figures_;
  double last_stall_ = 0;
  int64_t failed_step_ = -1;
  std::string failure_;
  bool told_wait_ = false;
  bool told_figure_ = false;
};

}  // namespace trireme
