// The same bits on any number of ranks: what that asks of a run.
#pragma once

#include "comm/communicator.h"
#include "config/config.h"
#include "train/micro_batches.h"

namespace trireme {

// How the ranks of `communicator` share batches. Throws ConfigError where parallel.virtual_ranks does not go
// with their number (it must be a power of two, virtual_ranks at most), or with a communicator whose sums do
// not follow the tree.
Sharing sharing_of(const Config& config, const Communicator& communicator);
// The same without a communicator, for plans.
Sharing sharing_of(const Config& config, int rank, int ranks);

// Threads that a rank computes with: train.threads, or else the `cores` it may use; with virtual ranks 1 in
// place of the cores, since some of oneDNN's sums are cut by threads and their number must not depend on the
// machine.
int compute_threads(const Config& config, int cores);

}  // namespace trireme
