// What a job may say about how its ranks talk to each other: [comm] of a config, in this room's own words.
#pragma once

#include <string>

namespace trireme {

struct CommOptions {
  std::string transport = "auto";  // "auto", "rdma", "tcp", "shared_memory": see fabric.h
  bool require_rdma = false;       // refuse to run over anything else
  std::string backend =
      "auto";                  // "auto", "mpi", "shared_memory", "hierarchical": see make_world_communicator
  int leaders = 0;             // ranks of a node that talk to other nodes; 0: as the fabric wants
  double timeout_seconds = 0;  // the watchdog's deadline; 0: no watchdog
};

}  // namespace trireme
