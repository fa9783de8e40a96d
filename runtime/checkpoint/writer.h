// Saving: a checkpoint is a folder step-0000000938/ with state.h5 and, last of all, manifest.json; it exists
// only once its manifest does.
#pragma once

#include <filesystem>

#include "checkpoint/content.h"

namespace trireme {

// Saves into `checkpoints`/step-NNNNNNNNNN and returns that folder; then deletes all but the `keep` newest
// (>= 1; 0 keeps all) and what killed writers left behind. One rank calls it.
//
// state.h5 is built in memory, hashed, written aside, fsynced and renamed; then the manifest the same way. A
// kill at any point leaves either the whole checkpoint or none, and never harms an older one. An existing
// checkpoint of the same step is replaced at one stroke; those of later steps are deleted, since the run that
// saves here has left them behind (they were damaged, or it began afresh).
// Throws IoError (disk full, no permission) with nothing half-written left, CheckpointError when content is
// inconsistent (a shape that does not fit its values, a name used twice).
std::filesystem::path save_checkpoint(const std::filesystem::path& checkpoints,
                                      const CheckpointContent& content, int keep);

}  // namespace trireme
