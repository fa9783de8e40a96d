// Reading the launcher's environment; nothing here touches MPI.
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "base/environment.h"
#include "base/error.h"
#include "comm/world.h"

namespace trireme {
namespace {

std::optional<int64_t> number_in(const char* variable) { return number_in_environment<int64_t>(variable); }

// SLURM_STEP_TASKS_PER_NODE is a run-length list, "2(x3),1": the entry of node `node`.
std::optional<int> tasks_on_node(std::string_view list, int64_t node) {
  while (!list.empty()) {
    int tasks = 0;
    auto [after, error] = std::from_chars(list.data(), list.data() + list.size(), tasks);
    if (error != std::errc()) return std::nullopt;
    list.remove_prefix(static_cast<size_t>(after - list.data()));
    int64_t repeat = 1;
    if (list.starts_with("(x")) {
      auto [close, bad] = std::from_chars(list.data() + 2, list.data() + list.size(), repeat);
      if (bad != std::errc()) return std::nullopt;
      list.remove_prefix(static_cast<size_t>(close - list.data()));
      if (!list.starts_with(")")) return std::nullopt;
      list.remove_prefix(1);
    }
    if (node < repeat) return tasks;
    node -= repeat;
    if (list.starts_with(",")) list.remove_prefix(1);
  }
  return std::nullopt;
}

// The step number when srun started this process as a task of an ordinary step. Slurm numbers its own steps
// (batch script, extern, interactive shell) from 0xfffffffa up; those are shells, not tasks.
std::optional<int64_t> ordinary_step() {
  auto step = number_in("SLURM_STEP_ID");
  if (!step || *step < 0 || *step >= 0xfffffff0) return std::nullopt;
  return step;
}

std::optional<int> srun_tasks_here() {
  const char* per_node = std::getenv("SLURM_STEP_TASKS_PER_NODE");
  return tasks_on_node(per_node ? per_node : "", number_in("SLURM_NODEID").value_or(0));
}

}  // namespace

Launch launch_from_environment(Meets meets) {
  Launch launch;
  auto mpirun_size = number_in("OMPI_COMM_WORLD_SIZE");
  auto pmix_rank = number_in("PMIX_RANK");
  auto step_tasks = number_in("SLURM_STEP_NUM_TASKS");
  if (mpirun_size) {
    launch.launcher = "mpirun";
    launch.size = static_cast<int>(*mpirun_size);
    launch.rank = rank_from_environment();
    launch.local_size = static_cast<int>(number_in("OMPI_COMM_WORLD_LOCAL_SIZE").value_or(launch.size));
  } else if (pmix_rank) {
    launch.launcher = "srun";
    launch.rank = static_cast<int>(*pmix_rank);
    launch.size = static_cast<int>(step_tasks.value_or(number_in("SLURM_NTASKS").value_or(1)));
    launch.local_size = srun_tasks_here().value_or(launch.size);
  } else if (ordinary_step() && step_tasks.value_or(1) > 1 && meets == Meets::by_themselves) {
    launch.launcher = "srun";
    launch.rank = rank_from_environment();
    launch.size = static_cast<int>(*step_tasks);
    launch.local_size = srun_tasks_here().value_or(launch.size);
  } else if (ordinary_step() && step_tasks.value_or(1) > 1) {
    throw UsageError(
        "srun started {} tasks without PMIx, so they cannot find each other: use 'srun --mpi=pmix', or "
        "'mpirun' "
        "inside the job where 'srun --mpi=list' does not name pmix",
        *step_tasks);
  }
  return launch;
}

int rank_from_environment() {
  // SLURM_PROCID comes last: it is set in the batch script too (as 0), and right for tasks without PMIx.
  for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK"}) {
    if (auto rank = number_in(variable)) return static_cast<int>(*rank);
  }
  if (ordinary_step()) return static_cast<int>(number_in("SLURM_PROCID").value_or(0));
  return 0;
}

int local_rank_from_environment() {
  for (const char* variable : {"OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"}) {
    if (auto rank = number_in(variable)) return static_cast<int>(*rank);
  }
  return 0;
}

int ranks_from_environment() {
  if (auto ranks = number_in("OMPI_COMM_WORLD_SIZE")) return static_cast<int>(*ranks);
  if (!ordinary_step()) return 1;
  return static_cast<int>(number_in("SLURM_STEP_NUM_TASKS").value_or(1));
}

std::string host_name() {
  std::array<char, 256> buffer{};
  if (::gethostname(buffer.data(), buffer.size() - 1) != 0) return "unknown-host";
  std::string_view name(buffer.data());
  return std::string(name.substr(0, name.find('.')));
}

}  // namespace trireme
