// One server's part of a run, from its start to its end.
#pragma once

#include <cstdint>

#include "comm/parameter_server/messages.h"
#include "train/parameter_server/setting.h"

namespace trireme {

// Serves until the job is over, and says how it ended. Server 0 claims the run and coordinates; when it dies,
// the backup of its shard takes the run over and goes on. `beside`: a worker runs in this process, too.
// Throws like train() where this server cannot go on; the others have been told then, as far as they are
// concerned.
EndOfJob run_server(const ProcessSetting& setting, bool beside_a_worker);

}  // namespace trireme
