// What the loss's kernels in all backends share.
#pragma once

#include <cstdint>

#include "graph/op.h"

namespace trireme {

// Throws DataError naming the sample of the global batch unless `label` is in [0, classes). `sample` counts
// within this rank.
void check_label(int32_t label, int64_t classes, int64_t sample, const StepScalars& scalars);

}  // namespace trireme
