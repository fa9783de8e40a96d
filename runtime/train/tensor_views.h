// An arena as the named tensors that a checkpoint speaks of.
#pragma once

#include <vector>

#include "checkpoint/content.h"
#include "graph/arena_layout.h"

namespace trireme {

// `arena` is the first element of memory laid out as `tensors` say.
std::vector<NamedTensor> read_view(const std::vector<ArenaTensor>& tensors, const float* arena);
std::vector<MutableTensor> write_view(const std::vector<ArenaTensor>& tensors, float* arena);

}  // namespace trireme
