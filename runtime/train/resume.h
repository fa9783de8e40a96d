// Saving a run and bringing it back. Rank 0 reads and writes; the others get what it read by broadcast, so
// that a checkpoint is read and verified once and need not lie on a shared file system.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "checkpoint/content.h"
#include "telemetry/log.h"
#include "train/session.h"

namespace trireme {

// The checkpoint's view of the session's memory at `position`. Optimizer slots that are spread over ranks are
// `later`.
CheckpointContent checkpoint_content(Session& session, const RunPosition& position);

// Collective: what rank 0 has put into the net's arenas and into `state`, its whole state, to all ranks.
void spread_net(Communicator& communicator, Net& net, const WholeState& state);

struct Resumed {
  RunPosition position;                            // 0 when there was nothing
  std::optional<std::filesystem::path> from = {};  // rank 0: the checkpoint's folder
};

// Loads the newest good checkpoint below `checkpoints` into parameters, states and the strategy's slots of
// all ranks: rank 0 reads. When there is none, nothing changes. A checkpoint of step 0 may have parameters
// alone (imported ones). Warns of damaged ones that it passes over, and where the data set, the batch or the
// number of ranks is another than before. Collective. Throws CheckpointError when the model or the
// optimizer's slots do not fit, naming the tensor, or when all there are bad.
Resumed resume(Session& session, const std::filesystem::path& checkpoints, Logger& log);

}  // namespace trireme
