// How parameters and states start: a function of (seed, name) alone, so that every rank has the same.
#pragma once

#include <cstdint>

#include "exec/arenas.h"
#include "graph/graph.h"

namespace trireme {

// Fills the parameter and state arenas as the graph's initializers say; padding stays zero.
void initialize_arenas(const Graph& graph, uint64_t seed, Arenas& arenas);

}  // namespace trireme
