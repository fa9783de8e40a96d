// trireme-train --profile: where a step's time goes, measured over some steps of the config's own training.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "comm/communicator.h"
#include "config/config.h"
#include "train/profile/figures.h"

namespace trireme {

// Steps that go before the timed ones, in which memory is met for the first time and caches and clocks
// settle.
inline constexpr int64_t profile_warm_up_steps = 10;
inline constexpr int64_t most_profile_steps = 100'000;

struct ProfileOptions {
  std::filesystem::path run_directory;  // where profile.json goes; nothing else there is touched
  int64_t steps = 100;                  // timed, 1 ... most_profile_steps
  std::function<bool()> stop_requested = {};
};

struct ProfileOutcome {
  bool stopped = false;        // by request, before all steps were timed: there is no more than this
  std::filesystem::path file;  // the trace of all ranks
  // Rank 0's; empty on others.
  ProfileFigures figures;
  MachineRates rates;
  std::string report;
};

// The steps that --profile N asks for. Throws UsageError.
int64_t profile_steps_of(const std::string& text);

// Throws ConfigError where ranks do not step together (parallel.mode = "parameter_server").
void require_profile(const Config& config);

// Collective. Steps the training from its fresh start with loader, exchange and optimizer as the config has
// them, without validation and checkpoints, and keeps nothing of it but the file. Steps beyond the config's
// last one go on with the next epoch. Throws like train() and require_profile().
ProfileOutcome profile_training(const Config& config, Communicator& communicator,
                                const ProfileOptions& options);

}  // namespace trireme
