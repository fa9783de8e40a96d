// A run with parallel.mode = "parameter_server", as one of its processes sees it.
#pragma once

#include "comm/world.h"
#include "train/parameter_server/roles.h"
#include "train/train.h"

namespace trireme {

// Serves, trains, or does both, as `roles` say, until the job is over; returns the process's exit code, which
// is the job's. MPI is not touched: processes may come and die. Only in the coordinating server's run
// directory things are written. Throws what ends this process alone (what others must know of it they have
// been told).
int run_parameter_server(const Config& config, const Launch& launch, const Roles& roles,
                         const TrainOptions& options);

}  // namespace trireme
