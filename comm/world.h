// Who am I, and who else is there. A World is made once, on main's stack, after the config has been read; all
// communicators die before it.
#pragma once

#include <memory>
#include <string>

#include "comm/communicator.h"
#include "comm/mailbox.h"
#include "comm/options.h"

namespace trireme {

class Watchdog;

// What a launcher's environment says about this process, before MPI is touched. Pure reading of variables.
struct Launch {
  std::string launcher = "none";  // "none", "mpirun", "srun"
  int rank = 0;
  int size = 1;
  int local_size = 1;  // ranks on this node; `size` where the launcher does not tell
};

// How the ranks of a launch find each other: MPI needs the launcher's help (PMIx), others need no more than a
// number each.
enum class Meets { by_mpi, by_themselves };

// Throws UsageError when srun started several tasks without PMIx that are to meet by MPI: N lone ranks would
// each train alone. The batch script's own shell has SLURM_PROCID set too; that alone is no launcher.
Launch launch_from_environment(Meets meets = Meets::by_mpi);

// The rank in the job as the launcher's environment tells it, 0 when there is none. Never throws; for those
// who must decide before MPI_Init which rank prints.
int rank_from_environment();

// The rank among those of this node as the launcher's environment tells it, 0 when there is none. Never
// throws.
int local_rank_from_environment();

// The number of ranks that the launcher's environment tells, 1 when there is none. Never throws.
int ranks_from_environment();

// gethostname, up to the first dot.
std::string host_name();

// The job as this process sees it. Started by no launcher, MPI is not touched at all (no daemon, no start-up
// cost) and the world is one rank over the self communicator. Otherwise MPI_Init_thread(MPI_THREAD_MULTIPLE),
// and MPI_Finalize when the World dies normally; when it dies because an exception is on its way, MPI is left
// as it is and run_main ends the whole job by MPI_Abort (a finalize would wait for ranks that never come).
class World {
 public:
  // Throws UsageError (see launch_from_environment), FabricError (see fabric.h) or CommError.
  explicit World(const CommOptions& options = {});
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  int local_rank() const { return local_rank_; }  // among the ranks that share this node's memory
  int local_size() const { return local_size_; }
  int hosts() const { return hosts_; }  // number of nodes
  const std::string& host() const { return host_; }
  const std::string& launcher() const { return launcher_; }  // "none", "mpirun", "srun"
  double init_seconds() const { return init_seconds_; }      // what MPI_Init took

  // What messages go over, as found out after MPI_Init: "ob1 over vader, tcp"; "none: one rank" without MPI.
  const std::string& network() const { return network_; }
  // Who shares gradients, in words: "shared memory" (see select.h). Empty for a lone process.
  const std::string& backend() const { return backend_; }

  // All ranks; lives as long as the World.
  Communicator& communicator() { return *communicator_; }

  // What this rank needs to exchange letters with any other and to form groups with some, beside the
  // communicator. Collective. Dies before the World. Throws CommError.
  Meeting meeting();

 private:
  CommOptions options_;
  int rank_ = 0;
  int size_ = 1;
  int local_rank_ = 0;
  int local_size_ = 1;
  int hosts_ = 1;
  std::string host_;
  std::string launcher_;
  std::string network_ = "none: one rank";
  std::string backend_;
  double timeout_seconds_ = 0;
  std::unique_ptr<Watchdog> watchdog_;
  double init_seconds_ = 0;
  bool owns_mpi_ = false;
  int exceptions_at_birth_ = 0;
  std::unique_ptr<Communicator> communicator_;
};

}  // namespace trireme
