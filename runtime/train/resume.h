// Saving a run and bringing it back. Rank 0 reads and writes; the others get what it read by broadcast, so
// that a checkpoint is read and verified once and need not lie on a shared file system.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "checkpoint/content.h"
#include "checkpoint/reader.h"
#include "telemetry/log.h"
#include "train/session.h"

namespace trireme {

// Collective: what strategies hold of all nets, whole where `holds`.
std::vector<WholeState> collect_states(Session& session, bool holds);

// The checkpoint's view of the session's memory at `position`, and of `states`, which are whole here.
CheckpointContent checkpoint_content(Session& session, const std::vector<WholeState>& states,
                                     const RunPosition& position);

// Loads `checkpoint` (given on rank 0 alone, others pass null; nullopt there: nothing to resume) into
// parameters, states and the strategy's slots of all ranks, and returns the position; position 0 when there
// is nothing. A checkpoint of step 0 may have parameters alone (imported ones). Warns where the data set, the
// batch or the number of ranks is another than before. Collective. Throws CheckpointError when the model or
// the optimizer's slots do not fit, naming the tensor.
RunPosition resume(Session& session, const std::optional<Checkpoint>& checkpoint, Logger& log);

}  // namespace trireme
