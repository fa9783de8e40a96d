// Collectives over several nodes: through shared memory inside each, by messages between them.
#pragma once

#include <memory>
#include <vector>

#include "comm/communicator.h"

namespace trireme {

// Collective over `all`, any communicator, which carries the messages and is used to split. node_of_rank:
// ranks with equal numbers share memory. `leaders` ranks of each node (clamped to what the smallest one has)
// exchange messages, each about a part of a range, so that several network ports are busy at once.
//
// keeps_tree(): every node has the same power-of-two number of ranks, and they follow each other.
//
// Throws CommError on all ranks when some node has no memory to share.
std::unique_ptr<Communicator> make_hierarchical_communicator(
    std::unique_ptr<Communicator> all, const std::vector<int>& node_of_rank, int leaders,
    std::shared_ptr<Activity> activity = std::make_shared<Activity>());

}  // namespace trireme
