#include "comm/select.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "comm/fabric.h"
#include "comm/hierarchical.h"
#include "comm/shared_memory.h"

namespace trireme {
namespace {

struct Topology {
  std::vector<int> node_of_rank;
  int nodes = 0;
  int most_ranks = 0;   // on one node
  int least_ranks = 0;  // on one node
};

Topology topology_of(MPI_Comm world) {
  Topology topology{.node_of_rank = nodes_of_ranks(world)};
  std::map<int, int> ranks;
  for (int node : topology.node_of_rank) ++ranks[node];
  topology.nodes = static_cast<int>(ranks.size());
  auto fewer = [](const auto& a, const auto& b) { return a.second < b.second; };
  topology.most_ranks = std::max_element(ranks.begin(), ranks.end(), fewer)->second;
  topology.least_ranks = std::min_element(ranks.begin(), ranks.end(), fewer)->second;
  return topology;
}

// The least over all nodes, so that all agree.
int leaders_of(MPI_Comm world, const CommOptions& options, const Topology& topology) {
  int leaders = options.leaders > 0 ? options.leaders : std::max(1, rdma_ports());
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &leaders, 1, MPI_INT, MPI_MIN, world), "leaders");
  return std::min(leaders, topology.least_ranks);
}

std::string by_topology(const Topology& topology) {
  if (topology.nodes == 1) return topology.most_ranks == 1 ? "mpi" : "shared_memory";
  return topology.most_ranks == 1 ? "mpi" : "hierarchical";
}

Selection make(MPI_Comm world, const std::string& backend, const CommOptions& options,
               const Topology& topology, const std::shared_ptr<Activity>& activity) {
  if (backend == "mpi") return {make_mpi_communicator(world, activity), "messages"};
  auto messages = make_mpi_communicator(world);
  if (backend == "shared_memory") {
    if (topology.nodes > 1) {
      throw CommError(
          "comm.backend = \"shared_memory\", but the ranks are on {} nodes, which share no memory: use "
          "\"hierarchical\" "
          "or \"auto\", or start all ranks on one node",
          topology.nodes);
    }
    return {make_shared_memory_communicator(std::move(messages), activity), "shared memory"};
  }
  if (backend == "hierarchical") {
    int leaders = leaders_of(world, options, topology);
    return {make_hierarchical_communicator(std::move(messages), topology.node_of_rank, leaders, activity),
            fmt::format("shared memory inside {} node(s), messages between {} leader(s) of each",
                        topology.nodes, leaders)};
  }
  throw CommError("comm.backend = \"{}\": there is no such backend", backend);
}

}  // namespace

std::vector<int> nodes_of_ranks(MPI_Comm world) {
  int rank = 0, size = 0, first = 0;
  check_mpi(MPI_Comm_rank(world, &rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(world, &size), "MPI_Comm_size");
  MPI_Comm node = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node),
            "MPI_Comm_split_type");
  check_mpi(MPI_Allreduce(&rank, &first, 1, MPI_INT, MPI_MIN, node), "MPI_Allreduce");
  check_mpi(MPI_Comm_free(&node), "MPI_Comm_free");
  std::vector<int> firsts(static_cast<size_t>(size));
  check_mpi(MPI_Allgather(&first, 1, MPI_INT, firsts.data(), 1, MPI_INT, world), "MPI_Allgather");
  std::map<int, int> number;
  for (int r : firsts) number.try_emplace(r, 0);
  int next = 0;
  for (auto& [r, n] : number) n = next++;
  std::vector<int> nodes;
  for (int r : firsts) nodes.push_back(number[r]);
  return nodes;
}

Selection make_world_communicator(MPI_Comm world, const CommOptions& options,
                                  std::shared_ptr<Activity> activity) {
  Topology topology = topology_of(world);
  if (options.backend != "auto") return make(world, options.backend, options, topology, activity);
  std::string best = by_topology(topology);
  try {
    return make(world, best, options, topology, activity);
  } catch (const CommError& error) {  // on all ranks alike
    if (best == "mpi") throw;
    Selection selection = make(world, "mpi", options, topology, activity);
    selection.description += fmt::format(" ({} cannot be had: {})", best, error.what());
    return selection;
  }
}

}  // namespace trireme
