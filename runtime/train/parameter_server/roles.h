// Who serves and who trains, told from the launcher's environment alone: nobody asks anybody.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "comm/world.h"
#include "config/config.h"

namespace trireme {

// Where the launcher has put this process, as far as it tells.
struct NodePlace {
  int local_rank = 0;
  std::optional<int> node = {};  // of `nodes`, from 0
  std::optional<int> nodes = {};
};
// From SLURM's or mpirun's variables. mpirun does not number nodes: they are numbered where its ranks are
// laid out node by node, equally many on each.
NodePlace node_place_from_environment(const Launch& launch);

struct Roles {
  int32_t server = -1;    // this process's number among servers; -1: it is none
  bool works = true;      // it is a worker
  int32_t servers = 1;    // of the launch
  int32_t workers = 1;    // of the launch
  bool joins = false;     // one more worker, of no launch
  std::string note = {};  // worth a line in the log; may be empty

  bool serves() const { return server >= 0; }
};

// As parallel.parameter_server.servers says: the first so many ranks; "per_node": the first rank of each
// node; "colocated": all ranks are both. A process that no launcher started is both, too. Throws ConfigError
// where nobody would be left to train, there are fewer servers than replicas, or nodes cannot be told from
// another.
Roles roles_of(const Config& config, const Launch& launch, const NodePlace& place);
// A worker that joins a job: of that it knows nothing.
Roles role_of_joiner();

// The P of this launch: parallel.parameter_server.pieces, or as many as there are workers (but no more than
// data.batch samples).
int64_t pieces_of(const Config& config, const Roles& roles);

// "2 servers and 6 workers; 6 pieces of each batch of 256 samples", for --plan and the log.
std::string roles_text(const Config& config, const Roles& roles);

}  // namespace trireme
