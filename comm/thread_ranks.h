// Ranks as threads of one process: for tests and in-process trials. Same seam, same semantics, no MPI.
#pragma once

#include <functional>

#include "comm/communicator.h"

namespace trireme {

// Runs body(communicator) on `ranks` threads (>= 1), each with its own rank, and returns when all have
// returned. Reductions are summed along the tree of reduce.h, so results do not depend on timing.
//
// An exception in one rank wakes all others out of the collective they wait in (or come to next) with
// CommError, also in groups made by split(), and the first exception raised is rethrown here: never a hang.
// Ranks that call different collectives, or the same with different counts, types, operations or roots, get a
// CommError that says so (MPI would silently corrupt or hang).
void run_ranks(int ranks, const std::function<void(Communicator&)>& body);

}  // namespace trireme
