// Which communicator a job's ranks get, by where they sit and what [comm] says.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/mpi_communicator.h"
#include "comm/options.h"

namespace trireme {

// The number of each rank's node, by rank: nodes are counted in the order in which their first ranks come.
// Collective.
std::vector<int> nodes_of_ranks(MPI_Comm world);

struct Selection {
  std::unique_ptr<Communicator> communicator;
  std::string description;  // for people: "hierarchical, 2 leader(s) a node"; the same on all ranks
};

// Collective over `world`, a job's ranks.
// - "auto": one node: shared_memory; several nodes, with more than one rank on some: hierarchical; else mpi.
// Where a node
//   has no memory to share it is mpi, and the description says why.
// - "mpi", "shared_memory", "hierarchical": that one, or CommError on all ranks that says why not.
// options.leaders = 0: as many as there are active RDMA ports, at least 1; in any case no more than a node
// has ranks.
Selection make_world_communicator(MPI_Comm world, const CommOptions& options,
                                  std::shared_ptr<Activity> activity);

}  // namespace trireme
