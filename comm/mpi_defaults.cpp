#include "comm/mpi_defaults.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace trireme {
namespace {

namespace fs = std::filesystem;

bool has_entry(const char* directory, const char* prefix) {
  std::error_code error;
  for (auto entry = fs::directory_iterator(directory, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    if (entry->path().filename().string().starts_with(prefix)) return true;
  }
  return false;
}

bool has_fabric() {
  if (has_entry("/sys/class/infiniband", "") || has_entry("/sys/class/infiniband_verbs", "uverbs"))
    return true;
  for (const char* device : {"hfi1", "ipath", "infiniband", "cxi", "kgni"}) {
    if (has_entry("/dev", device)) return true;
  }
  return false;
}

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
  bool chosen = std::getenv("OMPI_MCA_mtl") != nullptr || std::getenv("OMPI_MCA_pml") != nullptr;
  if (!chosen && !has_fabric()) set_default("OMPI_MCA_mtl", "^ofi,psm,psm2");

  // A rank is two threads that want a core: one computes, one waits for messages.
  if (2 * launch.local_size > cores_of_job() || cores_of_process() < 2) {
    set_default("OMPI_MCA_mpi_yield_when_idle", "1");
  }
  if (launch.launcher == "srun") set_default("OMPI_MCA_hwloc_base_binding_policy", "none");
}

}  // namespace trireme
