#include "comm/mpi_defaults.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace trireme {
namespace {

// Cores that this job may use on this node.
int cores_of_job() {
  long cores = ::sysconf(_SC_NPROCESSORS_ONLN);
  if (const char* given = std::getenv("SLURM_CPUS_ON_NODE")) {
    long slurm = std::strtol(given, nullptr, 10);
    if (slurm > 0) cores = std::min(cores, slurm);
  }
  return static_cast<int>(std::max(1L, cores));
}

int cores_of_process() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return cores_of_job();
  return CPU_COUNT(&set);
}

void set_default(const char* variable, const char* value) { ::setenv(variable, value, 0); }

}  // namespace

void set_mpi_defaults(const Launch& launch) {
  // A rank is two threads that want a core: one computes, one waits for messages.
  if (2 * launch.local_size > cores_of_job() || cores_of_process() < 2) {
    set_default("OMPI_MCA_mpi_yield_when_idle", "1");
  }
  if (launch.launcher == "srun") set_default("OMPI_MCA_hwloc_base_binding_policy", "none");
}

}  // namespace trireme
