// Settings of Open MPI that this suite needs whatever the network is (that: fabric.h), given before MPI_Init.
// Internal to the room.
#pragma once

#include "comm/world.h"

namespace trireme {

// Sets what nobody has set (neither here nor in the environment is anything overwritten):
// - OMPI_MCA_mpi_yield_when_idle=1 when ranks and the threads that wait for their messages outnumber the
// cores:
//   a rank that spins takes the core from the rank that it waits for (4 ranks on 2 cores, 1 MiB: 24 ms a
//   all-reduce instead of 0.6 ms).
// - OMPI_MCA_hwloc_base_binding_policy=none under srun, which does the binding itself; Open MPI would bind
//   the ranks a second time, all of them to core 0.
void set_mpi_defaults(const Launch& launch);

}  // namespace trireme
