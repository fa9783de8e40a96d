// One trial as a group of ranks runs it: the training run that a config describes, watched.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <string>

#include "comm/communicator.h"
#include "sweep/scheduler.h"
#include "train/kept_state.h"

namespace trireme {

// What a trial's ranks are told.
struct TrialOrder {
  int64_t trial = 0;
  int attempt = 1;
  std::string config;         // complete TOML of the training run
  std::string run_directory;  // of the trial
  bool saves = true;          // writes checkpoints
  bool keeps_state = false;   // leaves its state in memory when it ends or pauses
};

struct TrialMeasure {
  int64_t epoch = 0;
  int64_t step = 0;
  double seconds = 0;
  // "validation.loss": may be nan; also "train_seconds", "samples_per_second" and "parameters".
  std::map<std::string, double> figures;
};

struct TrialEnd {
  // hindered: it could not write where it had to, for want of room or rights, which is no fault of the trial.
  // Of steps (sweep/steps) alone: crashed, and its ranks with it, which takes nothing else down; not_begun,
  // by no fault of the trial.
  enum class State { finished, stopped, paused, failed, interrupted, crashed, not_begun, hindered };
  State state = State::finished;
  std::string reason;  // of a failure, a crash
  int64_t steps = 0;
  bool held = false;  // failed, because another start holds the run directory
};

// How a trial has ended that this was thrown for: hindered where it says that something could not be written.
TrialEnd::State end_state_for(const std::exception& error);

// Called by every rank of the group. `report`: on its rank 0 alone, after each validation, with an answer to
// come; the runner hands the answer to the other ranks. `kept`: null but where a state is to begin from and
// to be left. `stop`: the sweep is being stopped: save and return `interrupted`. Whatever the trial does
// wrong alike on all ranks (a config that does not fit the data, nan, a bad data set) is a TrialEnd;
// CommError and whatever strikes one rank of several is thrown. Tests give the controller a function of their
// own in place of a training run.
using TrialRunner = std::function<TrialEnd(const TrialOrder& order, Communicator& group,
                                           const std::function<Verdict(const TrialMeasure&)>& report,
                                           KeptState* kept, const std::function<bool()>& stop)>;

// The runner that trains; runs are silent but for log.txt in their folders. ranks_on_node: ranks of the world
// that share this one's cores (Placement::core_sharers of all of them): train.threads = 0 means this rank's
// part of these, whatever the group.
//
// A failure is a TrialEnd where all ranks of the group are sure to have it: what is found while the run is
// put together, a loss that is no number, a checkpoint that cannot be written or read. On a group of one
// everything is, memory that runs out too.
TrialRunner make_training_runner(int ranks_on_node);

}  // namespace trireme
