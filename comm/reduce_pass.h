// The innermost loops of reductions: one pass over a few parts. reduce.h is what others use.
#pragma once

#include <cstddef>

#include "base/dtype.h"

namespace trireme {

// Whether there is a pass over so many parts of this type. Of all types there is one over 2.
bool has_pass(size_t parts, DType type);

// first[i] = second[i] = tree over r < parts of from[r][i], parts added in the order of reduce.h. `second`
// may be null. Outputs may be parts, and memory need not be aligned, and the bits are the same with any
// instruction set.
void sum_pass(const void* const* from, size_t parts, void* first, void* second, size_t count, DType type);
// first[i] = second[i] = the greater of from[0][i] and from[1][i].
void max_pass(const void* const* from, void* first, void* second, size_t count, DType type);
// data[i] = data[i] / ranks.
void divide_pass(void* data, size_t count, DType type, int ranks);

}  // namespace trireme
