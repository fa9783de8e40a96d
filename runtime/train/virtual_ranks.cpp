#include "train/virtual_ranks.h"

#include "base/error.h"

namespace trireme {

Sharing sharing_of(const Config& config, int rank, int ranks) {
  int64_t shards = config.parallel.virtual_ranks;
  if (shards > 0 && ((ranks & (ranks - 1)) != 0 || ranks > shards)) {
    throw ConfigError(
        "{}: parallel.virtual_ranks = {} on {} ranks: the tree of shards divides evenly among 1, 2, 4, ... "
        "up to {} "
        "ranks only; start as many, or set virtual_ranks to 0",
        config.where("parallel.virtual_ranks"), shards, ranks, shards);
  }
  return {rank, ranks, config.train.micro_batches, shards};
}

Sharing sharing_of(const Config& config, const Communicator& communicator) {
  Sharing sharing = sharing_of(config, communicator.rank(), communicator.size());
  if (sharing.virtual_ranks > 0 && !communicator.keeps_tree()) {
    throw ConfigError(
        "{}: parallel.virtual_ranks = {}: comm.backend \"{}\" adds in another order here, since its nodes do "
        "not all "
        "hold the same power of two of consecutive ranks: start as many ranks on each node (2, 4, 8, ...), "
        "block by "
        "block, or set comm.backend = \"mpi\"",
        config.where("parallel.virtual_ranks"), sharing.virtual_ranks, communicator.name());
  }
  return sharing;
}

int compute_threads(const Config& config, int cores) {
  if (config.train.threads > 0) return static_cast<int>(config.train.threads);
  return config.parallel.virtual_ranks > 0 ? 1 : cores;
}

}  // namespace trireme
