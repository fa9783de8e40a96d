// summary.json: how a run ended.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "telemetry/metrics.h"

namespace trireme {

enum class Outcome { finished, stopped, failed };

struct Summary {
  Outcome state = Outcome::failed;
  int64_t steps = 0;   // done over all starts of the run
  int64_t epochs = 0;  // whole epochs done
  double train_seconds = 0;
  double samples_per_second = 0;
  double startup_seconds = 0;                  // from exec to the first step
  double data_stall_fraction = 0;              // of this start's steps' time: waiting for the loader
  std::optional<ValidationRecord> validation;  // the last one
  int64_t parameters = 0;
  std::string parameters_sha256;  // of the float32 parameters in arena order
  int ranks = 1;
  int hosts = 1;
  int64_t virtual_ranks = 0;            // parallel.virtual_ranks; 0: none
  int64_t checkpoint_step = 0;          // of the newest checkpoint that this start has written; 0: none
  int64_t checkpoints_written = 0;      // by this start
  int64_t checkpoints_failed = 0;       // could not be written: the log says why
  double checkpoint_stall_seconds = 0;  // training stood still for them
  std::string error;                    // the message, when failed
};

// The JSON text; nan and infinity become null, absent parts are null or left out ("error").
std::string summary_json(const Summary& summary);

// Replaces `path` atomically. Throws IoError.
void write_summary(const std::filesystem::path& path, const Summary& summary);

}  // namespace trireme
