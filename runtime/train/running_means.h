// The states that statistics move: running means and variances of batch norm.
#pragma once

#include "graph/arena_layout.h"

namespace trireme {

// state = (1 - momentum) * state + momentum * statistic for all of layout.running_means. `statistics`: the
// first behind the gradients, state: the state arena's first element.
//
// `share`, above 0 and at most 1: which part of the global batch the statistics are shares of. A part moves
// the means by as much less, momentum * share towards statistic / share: all parts of a batch together as far
// as the whole does, to first order in momentum.
void move_running_means(const ArenaLayout& layout, const float* statistics, float* state, double share = 1);

}  // namespace trireme
