// comm.transport in the words of Open MPI and UCX: a pure function from options, machine and environment to
// the variables to set.
#pragma once

#include <map>
#include <string>

#include "comm/fabric_machine.h"
#include "comm/options.h"
#include "comm/world.h"

namespace trireme {

using Variables = std::map<std::string, std::string>;

// OMPI_*, UCX_* and FI_* of this process's environment.
Variables fabric_environment();

// Variables to set, none of which `environment` has. Which settings, and why these: README.md.
// Throws FabricError when a variable of `environment` contradicts options, naming both; when
// RDMA is asked for and something is missing for it; when transport is "shared_memory" and the ranks are not
// on one host.
Variables fabric_settings(const CommOptions& options, const Machine& machine, const Launch& launch,
                          const Variables& environment);

// Whether the options ask for RDMA and nothing else.
inline bool asks_for_rdma(const CommOptions& options) {
  return options.require_rdma || options.transport == "rdma";
}

}  // namespace trireme
