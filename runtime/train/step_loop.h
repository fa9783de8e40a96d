// The loop: steps, and what is due between them.
#pragma once

#include <filesystem>

#include "telemetry/log.h"
#include "telemetry/metrics.h"
#include "train/saving.h"
#include "train/session.h"

namespace trireme {

// Where a run begins.
struct Beginning {
  bool from_memory = false;  // options.begin_from is to be used, on rank 0; the same on all ranks
  bool saved = true;         // a checkpoint of the position is there, or it is the very start
};

struct LoopEnd {
  bool stopped = false;  // by request or by the judge's pause; the state is saved
  Go judged = Go::on;    // drop: ended without a save
  double startup_seconds = 0;
  double samples_per_second = 0;  // of this start's steps, without validation and checkpoints
  SavingFigures saving;
  double data_stall_fraction =
      0;  // of these steps' time: waiting for the loader, on the rank that waited most
};

// Between steps the loop asks, in this order: is a validation due here and not yet done, is a checkpoint due
// here and not yet written, is it the end. Since that depends on `position` alone, a resumed run does exactly
// what the uninterrupted one would have done. Leaves `position` at the end reached. `claim` and `metrics` are
// null but on rank 0. A step whose loss is no number ends the run, or leads back to the newest good
// checkpoint, as train.on_nan says. Throws DivergenceError, DataError, CommError, IoError.
LoopEnd run_steps(Session& session, RunPosition& position, const Beginning& beginning,
                  const TrainOptions& options, const std::filesystem::path& checkpoints,
                  const RunClaim* claim, MetricsWriter* metrics, Logger& log);

// Collective: whether any rank has been asked to stop.
bool agree_to_stop(Communicator& communicator, const TrainOptions& options);

}  // namespace trireme
