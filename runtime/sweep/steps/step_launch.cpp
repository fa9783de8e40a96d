#include "sweep/steps/step_launch.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "base/environment.h"
#include "base/error.h"
#include "comm/world.h"
#include "sweep/scheduler.h"
#include "sweep/space.h"

namespace trireme {
namespace {

int allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

bool is_given(const std::vector<std::string>& options, std::string_view name) {
  return std::any_of(options.begin(), options.end(),
                     [&](const std::string& option) { return option.starts_with(name); });
}

void require_no_launcher(const SweepConfig& config) {
  // Slurm numbers its own steps (the batch script, an interactive shell) from 0xfffffffa up.
  const char* step = std::getenv("SLURM_STEP_ID");
  bool in_step = step != nullptr && std::strtoull(step, nullptr, 10) < 0xfffffff0;
  if (launch_from_environment(Meets::by_themselves).launcher == "none" && !in_step) return;
  throw ConfigError(
      "{}: launcher \"steps\" starts a step for each trial by itself: start trireme-sweep once, in the batch "
      "script, without srun or mpirun; or use launcher \"ranks\"",
      config.where("sweep.launcher"));
}

void require_scheduler(const SweepConfig& config, const Config& base) {
  Space space = make_space(config, base);
  if (!make_scheduler(config, space, base.train.epochs)->copies_states()) return;
  throw ConfigError(
      "{}: \"{}\" hands states over from trial to trial in memory, which trials in steps of their own do not "
      "share: use launcher \"ranks\"",
      config.where("sweep.scheduler"), config.sweep.scheduler);
}

}  // namespace

StepLaunch step_launch(const SweepConfig& config, const Config& base) {
  require_no_launcher(config);
  require_scheduler(config, base);
  StepLaunch launch;
  launch.program = std::filesystem::read_symlink("/proc/self/exe");
  launch.srun_options = config.sweep.srun_options;
  launch.in_job = std::getenv("SLURM_JOB_ID") != nullptr;
  launch.slots = static_cast<int>(config.sweep.slots);
  if (!launch.in_job) {
    int cores = allowed_cores();
    if (launch.slots == 0) launch.slots = cores;
    launch.cores_per_rank = std::max(1, cores / launch.slots);
    return launch;
  }
  if (launch.slots == 0) launch.slots = number_in_environment("SLURM_NTASKS").value_or(0);
  if (launch.slots < 1) {
    throw ConfigError(
        "{}: the job does not tell how many tasks it has (SLURM_NTASKS): submit it with --ntasks or "
        "--ntasks-per-node, or set sweep.slots",
        config.where("sweep.launcher"));
  }
  launch.cpus_per_task = number_in_environment("SLURM_CPUS_PER_TASK").value_or(0);
  launch.cores_per_rank = std::max(1, launch.cpus_per_task);
  launch.memory_by_node = std::getenv("SLURM_MEM_PER_NODE") != nullptr;
  return launch;
}

// srun: --exact leaves the job's other processors to other steps. A trial on one rank needs no MPI, and so
// starts without (--mpi=none). Only the first task is talked with; what all of them say on standard error is
// kept. A step that asks for no memory gets all that the job has by the node, and no other could run beside
// it: --mem=0 shares it. The user's own options come last, so that they count.
std::vector<std::string> step_command(const StepLaunch& launch, const TrialOrder& order, int width) {
  std::vector<std::string> words;
  if (launch.in_job) {
    words = {"srun",
             "--exact",
             fmt::format("--ntasks={}", width),
             fmt::format("--mpi={}", width == 1 ? "none" : "pmix"),
             "--kill-on-bad-exit=1",
             "--input=0",
             "--output=0",
             "--error=all",
             "--export=ALL",
             fmt::format("--job-name=trial-{:04}", order.trial)};
    if (launch.cpus_per_task > 0) words.push_back(fmt::format("--cpus-per-task={}", launch.cpus_per_task));
    if (launch.memory_by_node && !is_given(launch.srun_options, "--mem")) words.push_back("--mem=0");
    words.insert(words.end(), launch.srun_options.begin(), launch.srun_options.end());
  } else if (width > 1) {
    // Several that run side by side do not know of each other: each would bind itself to the first cores.
    words = {"mpirun", "-n", std::to_string(width), "--bind-to", "none", "--oversubscribe"};
  }
  std::vector<std::string> trial = {launch.program,
                                    "trial",
                                    step_config_path(order.run_directory).string(),
                                    "--run-dir",
                                    order.run_directory,
                                    "--number",
                                    std::to_string(order.trial),
                                    "--cores",
                                    std::to_string(launch.cores_per_rank)};
  words.insert(words.end(), trial.begin(), trial.end());
  return words;
}

std::vector<std::string> variables_of_job() {
  return {"SLURM_NNODES", "SLURM_JOB_NUM_NODES",   "SLURM_NTASKS",
          "SLURM_NPROCS", "SLURM_NTASKS_PER_NODE", "SLURM_TASKS_PER_NODE"};
}

std::filesystem::path step_config_path(const std::filesystem::path& run_directory) {
  return run_directory / "trial.toml";
}

std::filesystem::path step_errors_path(const std::filesystem::path& run_directory) {
  return run_directory / "stderr.txt";
}

}  // namespace trireme
