// prune: deletes checkpoints that need not be kept, by the rule by which a run does.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "inspect/report.h"
#include "inspect/where.h"

namespace trireme {

// What is not given is as the run's config has it.
struct PruneOptions {
  std::optional<int64_t> keep = {};        // so many of the newest; 0: all
  std::optional<int64_t> keep_every = {};  // multiples of so many steps
  std::optional<int64_t> keep_best = {};   // so many of the best by the metric
  std::optional<std::string> metric = {};  // loss accuracy perplexity
  bool dry_run = false;                    // tell what would go, touch nothing
};

// The newest checkpoint that verifies is never deleted; where none does, nothing is. Holds the run's claim
// meanwhile: throws ClaimError naming the holder where a start is going on. Throws MissingInputError (there
// is no checkpoint), CheckpointError (none is good), UsageError (one checkpoint was named), IoError.
Report prune(const Where& where, const PruneOptions& options,
             const std::function<void(const std::string&)>& warn);

}  // namespace trireme
