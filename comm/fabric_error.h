// The error of the network guard.
#pragma once

#include "base/error.h"

namespace trireme {

// The config asks for a network that this machine, its software or the environment does not give. Exit code
// 78 (bad config), not 70: nothing of ours went wrong, and submitting again cannot help as it would after 75;
// what must change is the config (comm.transport, comm.require_rdma), the environment, or the node. Of the
// sysexits that the house uses no other says that. Unlike other ConfigErrors it may be one rank's own
// trouble, so run_main lets the first rank of every node at fault speak, with rank and host.
struct FabricError : ConfigError {
  using ConfigError::ConfigError;
};

}  // namespace trireme
