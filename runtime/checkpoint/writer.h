// Saving at once, for whoever is no training run: tools and tests.
#pragma once

#include <filesystem>

#include "checkpoint/content.h"
#include "checkpoint/keep.h"

namespace trireme {

// Claims the run whose checkpoints lie in `checkpoints`, saves into its folder step-NNNNNNNNNN and returns
// that; what else it does is Saver's. Throws ClaimError when a run is going on there, IoError (disk full, no
// permission) with nothing half-written left, CheckpointError when content is inconsistent (a shape that does
// not fit its values, a name used twice).
std::filesystem::path save_checkpoint(const std::filesystem::path& checkpoints,
                                      const CheckpointContent& content, const KeepRule& keep);

}  // namespace trireme
