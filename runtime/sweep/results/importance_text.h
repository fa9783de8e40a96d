// Importances for people and for programs.
#pragma once

#include <string>

#include "comm/communicator.h"
#include "sweep/results.h"

namespace trireme {

struct ImportanceTextOptions {
  int trees = 64;
  std::string metric;  // of one objective; empty: all
  bool json = false;
  int columns = 100;
};

// Collective; the same on all ranks, which must have the same view. Throws UsageError for a metric that is no
// objective.
std::string importance_text(const SweepView& view, const ImportanceTextOptions& options,
                            Communicator& communicator);

// Collective: rank 0 reads the folder, the others get its records by messages: had each read for itself, a
// running sweep would have told one more than the other.
SweepView open_sweep_alike(const std::filesystem::path& folder, Communicator& communicator);

}  // namespace trireme
