// How trials are handed to Hyperband's brackets.
#pragma once

#include <cstdint>
#include <vector>

namespace trireme {

// The parts of all trials that each bracket gets, as in a round of Hyperband; their sum is 1. Bracket b
// begins at rung b of `rungs`, the top one included.
std::vector<double> bracket_shares(int64_t rungs, int64_t brackets, int64_t reduction);

// The bits of `number` mirrored at the point, in [0, 1): van der Corput's sequence.
double radical_inverse(uint64_t number);

}  // namespace trireme
