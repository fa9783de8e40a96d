// A training run: a function of (Config, Communicator, run directory). Nothing is global, so that a sweep
// runs it on sub-communicators, a test on thread ranks, and two may live in one process.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "comm/communicator.h"
#include "config/config.h"
#include "telemetry/metrics.h"
#include "telemetry/summary.h"

namespace trireme {

// The loss or a parameter is no longer a number. Names the step.
struct DivergenceError : CodedError<ExitCode::internal> {
  using CodedError::CodedError;
};

// A validation, and how the run stands at that moment.
struct ValidationMoment : ValidationRecord {
  double train_seconds = 0;       // so far, over all starts
  double samples_per_second = 0;  // of this start's steps
  int64_t parameters = 0;         // learned values
};

// What a run tells those who watch it: called on every rank, in its thread.
struct TrainHooks {
  std::function<void(const TrainRecord&)> after_step;  // every step, whatever train.log_every_steps says
  std::function<void(const ValidationMoment&)> after_validation;
  std::function<void(int64_t step)> after_checkpoint;  // rank 0 alone: a checkpoint of this step exists now
};

// What becomes of a run after a validation.
enum class Go {
  on,
  pause,  // as if asked to stop: the state is saved
  drop,   // the run ends here and saves nothing more
};

struct KeptState;
class DataFiles;
class StepTimeline;

struct TrainOptions {
  std::filesystem::path run_directory;
  bool fresh = false;                         // removes what an earlier run left, instead of resuming
  bool quiet = false;                         // the console gets warnings and errors only
  std::string network = {};                   // what ranks' messages go over, to be told at start
  std::string exchange = {};                  // by what ranks share gradients, to be told at start
  std::FILE* console = stderr;                // null for none
  std::function<bool()> stop_requested = {};  // polled; may turn true on any rank at any time
  TrainHooks hooks = {};
  // Asked on every rank after each validation but the one at the run's end, after hooks.after_validation; all
  // ranks must answer alike. A run that is begun again after a pause goes on behind that validation. For
  // trials of a sweep.
  std::function<Go(const ValidationRecord&)> judge = {};
  // Rank 0 of the run: what to begin from in place of checkpoints (kept_state.h), null or empty for none; and
  // where to leave a copy of the state when the run ends or pauses (not when it is dropped, nor where nothing
  // was trained), null for nowhere. Both must outlive the call, and may be the same.
  const KeptState* begin_from = nullptr;
  KeptState* keep_in = nullptr;
  // Whether checkpoints are read and written at all. Without them nothing is put into checkpoints/, nobody
  // sees to it that the run directory has one start at a time, a stop loses what was trained, and a pause
  // keeps its state in keep_in alone.
  bool saves = true;
  // Whether config.toml and summary.json shall outlive a crash of the machine. A trial of a sweep, whose
  // journal has what counts, saves some milliseconds without; nor does it note its end for a job that starts
  // it again.
  bool durable_notes = true;
  // Data files that earlier runs of this process have opened, and where this one leaves its own; null for
  // none. May be shared by threads.
  DataFiles* files = nullptr;
  // Told of each step's beginning and end; the learner is to be given the same (Learner::observe). Null: none.
  StepTimeline* timeline = nullptr;
};

// As in summary.json, the same on every rank.
struct TrainResult {
  Outcome state = Outcome::finished;  // finished or stopped; failure is an exception
  Go judged = Go::on;                 // pause, drop: `stopped` is the judge's doing, not by request
  bool was_finished = false;          // an earlier start had finished the run: nothing was done
  int64_t steps = 0;
  std::string parameters_sha256;  // empty when was_finished
  std::optional<ValidationRecord> validation;
};

// Trains until the end or a request to stop. Collective over `communicator`; `config` must be the same on all
// ranks (checked). Writes the run directory (rank 0) and resumes the newest good checkpoint there unless
// options.fresh.
//
// On an exception summary.json says "failed" with the message, and checkpoints stay. Throws DataError and
// MissingInputError (data sets), ConfigError (a model that does not fit the data), CheckpointError (a
// checkpoint of another model), CommError (a lost rank, ranks that disagree), DivergenceError, IoError (the
// run directory; the last checkpoint of a run could not be written).
TrainResult train(const Config& config, Communicator& communicator, const TrainOptions& options);

}  // namespace trireme
