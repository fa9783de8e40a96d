// The loop: steps, and what is due between them.
#pragma once

#include <filesystem>

#include "telemetry/log.h"
#include "telemetry/metrics.h"
#include "train/session.h"

namespace trireme {

struct LoopEnd {
  bool stopped = false;  // by request; the state is saved
  double startup_seconds = 0;
  double samples_per_second = 0;  // of this start's steps, without validation and checkpoints
  double data_stall_fraction =
      0;  // of these steps' time: waiting for the loader, on the rank that waited most
};

// Between steps the loop asks, in this order: is a validation due here and not yet done, is a checkpoint due
// here and not yet written, is it the end. Since that depends on `position` alone, a resumed run does exactly
// what the uninterrupted one would have done. Leaves `position` at the end reached. `metrics` is null but on
// rank 0. A step whose loss is no number ends
// the run, or leads back to the newest good checkpoint, as train.on_nan says. Throws DivergenceError,
// DataError, CommError, IoError.
LoopEnd run_steps(Session& session, RunPosition& position, const TrainOptions& options,
                  const std::filesystem::path& checkpoints, MetricsWriter* metrics, Logger& log);

}  // namespace trireme
