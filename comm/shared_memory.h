// Collectives among the ranks of one node, through memory that they share.
#pragma once

#include <memory>

#include "comm/communicator.h"

namespace trireme {

// Collective over `bootstrap`, which is any communicator whose ranks are on one node, as processes or as
// threads of one; it is used to make memory and to split, and for nothing else. Collectives on memory of
// allocate() copy nothing; all other memory goes through the segment in pieces that stay in the caches. Ranks
// may mix both. Ranks that call different collectives, or with other counts, types, operations or roots, get
// CommError, and so do those who wait for a rank whose communicator is gone. A rank that dies is waited for:
// to end such a job is the watchdog's and the launcher's business.
//
// Throws CommError on all ranks when the node has no memory to share (see SharedSegment).
std::unique_ptr<Communicator> make_shared_memory_communicator(
    std::unique_ptr<Communicator> bootstrap,
    std::shared_ptr<Activity> activity = std::make_shared<Activity>());

}  // namespace trireme
