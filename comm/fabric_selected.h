// What Open MPI really selected, seen from inside one process after MPI_Init.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace trireme {

struct Selected {
  std::string layer;  // Open MPI's point-to-point layer: "ob1", "cm", "ucx"; "?" when it does not tell
  std::vector<std::string>
      over;  // what carries its messages, by name: btl or mtl components, or UCX transports
  std::vector<std::string>
      devices;  // RDMA device files that the process holds open: "uverbs0", "hfi1_0", "cxi0"
};

// Listens to UCX's log while MPI starts, for the one thing that UCX tells nowhere else: the transports of
// each kind of connection ("tag(rc_mlx5/mlx5_0:1)", at level "info"). Other lines pass as they would have.
// Made before MPI_Init, and alive until the selection has been read. One at a time in a process: UCX's log
// handlers know no user data.
class UcxLog {
 public:
  // listen: whether UCX may come to be used. Loads libucs then, and without libucs hears nothing.
  explicit UcxLog(bool listen);
  ~UcxLog();
  UcxLog(const UcxLog&) = delete;
  UcxLog& operator=(const UcxLog&) = delete;
  // Transports heard of so far ("tcp", "sysv", "rc_mlx5"), in order, each once.
  std::vector<std::string> transports() const;

 private:
  struct Functions;
  std::unique_ptr<Functions> functions_;
};

// Transports named by a line of UCX's log: "ep_cfg[1]: tag(sysv/memory cma/memory)" gives sysv and cma. Other
// lines, and those about a rank's connection with itself ("tag(self/memory0 cma/memory)"), give none.
std::vector<std::string> transports_in(const std::string& line);

// Open MPI closes, and unloads, the components that it did not select: those still loaded are it. `ucx`: from
// UcxLog. within_node, between_nodes: whether there are such pairs of ranks; ob1 keeps tcp loaded when nobody
// needs it.
Selected selected_fabric(const std::vector<std::string>& ucx, bool within_node, bool between_nodes);

// "ob1 over vader, tcp".
std::string describe(const Selected& selected);

}  // namespace trireme
