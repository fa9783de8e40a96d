// A copy of much memory that will not be looked at soon.
#pragma once

#include <cstddef>

namespace trireme {

// Copies `count` floats past the caches: what is written is not read into them first, which saves a third of
// the traffic (memcpy does so itself, but for single calls larger than the caches alone). Returns whether all
// of them are finite numbers, looked at on the way at no cost. The ranges do not overlap.
bool stream_copy(const float* from, float* to, size_t count);

}  // namespace trireme
