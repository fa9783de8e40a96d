// The network guard: which network MPI's messages go over. Told to Open MPI and UCX before MPI_Init, looked
// up after it, and never silently another one than the config asks for.
//
// Before MPI_Init every rank looks at its machine (fabric_machine.h), turns comm.transport into settings of
// Open MPI and UCX (fabric_settings.h), and refuses what cannot be; after it every rank finds out what was
// really selected (fabric_selected.h), and all ranks compare.
#pragma once

#include <memory>
#include <string>

#include "comm/fabric_error.h"
#include "comm/fabric_machine.h"
#include "comm/fabric_selected.h"
#include "comm/mpi_communicator.h"
#include "comm/options.h"
#include "comm/world.h"

namespace trireme {

// The guard of one start of MPI: made before MPI_Init on every rank, asked after it.
class Fabric {
 public:
  // Refuses what is missing or contradictory, and sets variables of Open MPI and UCX, never one that is set
  // already. With transport "auto" and without require_rdma nothing is refused. A lone rank
  // (launch.launcher "none") sends no messages: nothing is set and transport is not looked at; but
  // require_rdma is a demand on the machine, and holds for one rank as for many, on one node as on several,
  // so that a node answers the same whoever asks. root: where /sys and /dev are looked for (tests lay their
  // own). Throws FabricError naming the key, what is missing, and what to do.
  Fabric(const CommOptions& options, const Launch& launch, const std::string& root = "/");
  ~Fabric();
  Fabric(const Fabric&) = delete;
  Fabric& operator=(const Fabric&) = delete;

  // After MPI_Init, collective over `all`, whose ranks are on `hosts` nodes: what was really selected, over
  // all ranks, in one line such as "ob1 over vader, tcp" or "ucx over sysv, cma, rc_mlx5 (uverbs0)"; the same
  // on every rank. One empty message goes around the ring of ranks, so that there are connections to look at;
  // then every rank tells the others 512 bytes. Throws FabricError on all ranks alike, naming the first rank
  // at fault and its host, when a rank selected another network than the options ask for, or another layer of
  // Open MPI than rank 0. With "auto" an RDMA device that is passed over is no error, and is told of in the
  // line.
  std::string check(MPI_Comm all, int hosts);

 private:
  CommOptions options_;
  Launch launch_;
  Machine machine_;
  std::unique_ptr<UcxLog> ucx_log_;
};

// Active RDMA ports of this machine: what can carry messages at once, and so how many ranks of a node may
// usefully talk to other nodes. 0 without RDMA.
int rdma_ports(const std::string& root = "/");

}  // namespace trireme
