// The gradient's size, and what clipping makes of it. `threads` share the work out; bits do not depend on
// them.
#pragma once

#include <cstddef>
#include <span>

#include "base/range.h"

namespace trireme {

// Sums of squares are taken of blocks of so many values, counted from the first.
inline constexpr size_t norm_block = 4096;

// sums[i] = the sum of squares of block i, in a fixed order in double precision; the last may be shorter.
void block_sums_of_squares(std::span<const float> values, double* sums, int threads = 1);

// Sum of squares. Blocks of norm_block values are summed in a fixed order in double precision, then the
// blocks' sums in theirs: the same values give the same bits whatever the machine. nan and infinity come
// through.
double sum_of_squares(std::span<const float> values, int threads = 1);

// Whether no value is nan or infinite: one pass at the speed of memory.
bool all_finite(std::span<const float> values, int threads = 1);

// The factor that brings a gradient of L2 norm `norm` down to at most `max_norm` (Pascanu et al., "On the
// difficulty of training recurrent neural networks", 2013); 1 when it is small enough or max_norm <= 0.
double clip_factor(double norm, double max_norm);

}  // namespace trireme
