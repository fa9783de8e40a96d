// show: where a checkpoint came from, and every tensor in it.
#pragma once

#include "checkpoint/reader.h"
#include "inspect/report.h"

namespace trireme {

Report show_report(const Checkpoint& checkpoint);

}  // namespace trireme
