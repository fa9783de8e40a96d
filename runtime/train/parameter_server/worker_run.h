// One worker's part of a run.
#pragma once

#include "comm/parameter_server/messages.h"
#include "train/parameter_server/setting.h"

namespace trireme {

// Finds the servers, computes pieces until there are no more, and says how the job has ended. A loss that is
// no number, and data that cannot be read, end the job for all: every other worker would come to the same.
// Throws ConfigError where the servers run something else, CommError where there are none, and what makes
// this one worker leave alone (IoError, no memory): the others take over what it was doing.
EndOfJob run_worker(const ProcessSetting& setting);

}  // namespace trireme
