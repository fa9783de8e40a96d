// How trials are started as steps of their own (sweep.launcher = "steps"), and how many ranks there are for
// them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "config/sweep_config.h"
#include "sweep/runner.h"

namespace trireme {

struct StepLaunch {
  std::string program;          // trireme-sweep, this very file
  int slots = 1;                // ranks that train at the same time
  bool in_job = false;          // by srun, in a SLURM job; else by mpirun, or a process of its own
  int cores_per_rank = 1;       // that a rank may keep busy
  int cpus_per_task = 0;        // SLURM's, of the job; 0: it has said nothing
  bool memory_by_node = false;  // the job has asked for memory by the node
  std::vector<std::string> srun_options = {};
  double start_seconds = 120;  // how long a trial waits for its former step to let go of the run directory
  // Told, from any thread, of a step that has not started for late_seconds.
  std::function<void(const std::string&)> tell = [](const std::string&) {};
  double late_seconds = 30;
  double end_seconds = 60;  // how long a step may take to end once it has said how, or nobody listens
};

// What this process finds in its environment. Throws ConfigError where the sweep cannot be run by steps:
// started by srun or mpirun, a scheduler whose trials take over states from memory, a job that does not tell
// how many tasks it has.
StepLaunch step_launch(const SweepConfig& config, const Config& base);

// The program and its arguments that start the trial of `order` on `width` ranks.
std::vector<std::string> step_command(const StepLaunch& launch, const TrialOrder& order, int width);

// What srun would take from the batch script's environment for the whole job's, and not for a trial's.
std::vector<std::string> variables_of_job();

// Where the config of a trial lies for its step, and what its step says on its standard error.
std::filesystem::path step_config_path(const std::filesystem::path& run_directory);
std::filesystem::path step_errors_path(const std::filesystem::path& run_directory);

}  // namespace trireme
