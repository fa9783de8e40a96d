// What the embedding's kernels in all backends share.
#pragma once

#include <cstdint>

#include "graph/op.h"

namespace trireme {

// Throws DataError naming the sample of the global batch and the position unless `token` is in
// [0, vocabulary). `sample` counts within this rank.
void check_token(int32_t token, int64_t vocabulary, int64_t sample, int64_t position,
                 const StepScalars& scalars);

}  // namespace trireme
