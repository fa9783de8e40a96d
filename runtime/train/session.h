// Everything that a run is made of, put together once before its first step.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "config/config.h"
#include "data/dataset.h"
#include "optim/schedule.h"
#include "telemetry/log.h"
#include "train/learner.h"
#include "train/placement.h"
#include "train/train.h"

namespace trireme {

// How far a run is; what a checkpoint brings back beside tensors.
struct RunPosition {
  int64_t step = 0;     // steps done
  int64_t samples = 0;  // seen, over all ranks
  double train_seconds = 0;
  std::optional<ValidationRecord> validation = {};  // the last one
  double learning_rate_factor = 1;                  // halved by every rollback
  int64_t skipped_steps = 0;                        // left out since float16 gradients overflowed
};

// How a process takes part that shares no steps with others: a worker of a parameter server.
struct PieceWork {
  int64_t pieces = 1;      // that each global batch is cut into; Learner::set_piece() chooses one
  int threads = 0;         // of the backend; 0: as for any rank
  bool own_means = false;  // see LearnerSetting
};

class Session {
 public:
  // Opens the data sets, makes the learner, and checks that all ranks agree about config, layouts and
  // starting parameters. Collective. Throws like train().
  // `files`: data files that may be open already; null for none.
  Session(const Config& session_config, Communicator& session_communicator, DataFiles* files = nullptr);
  // The same for a worker, which has a communicator of one (self_communicator()), so that nothing is
  // collective, and validates nothing. With parallel.mode = "parameter_server" its steps leave gradients and
  // statistics in the arenas and update nothing; with "allreduce" they are steps of its own, by an optimizer
  // of its own (easgd).
  Session(const Config& session_config, Communicator& session_communicator, const PieceWork& work);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  int64_t epoch_of(int64_t step) const {
    return step / length.steps_per_epoch;
  }  // whole epochs after `step` steps
  // The epoch that step number `step` (from 1) belongs to, from 1.
  int64_t running_epoch(int64_t step) const { return (step > 0 ? step - 1 : 0) / length.steps_per_epoch + 1; }

  const Config& config;
  Communicator& communicator;
  Placement placement;
  Datasets data;  // validation may be null
  RunLength length;
  int threads;   // of the backend, per rank
  bool overlap;  // ranks exchange in a thread of their own; the same on all
  std::unique_ptr<Learner> learner;
  std::string dataset_identity;  // names the training data: Dataset::identity()

 private:
  void make(const BatchSizes& sizes, bool own_means);
};

// total and per-epoch steps of a run over `samples`.
RunLength run_length(const Config& config, int64_t samples);

}  // namespace trireme
