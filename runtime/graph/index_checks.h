// Refusing labels and tokens that the model has no place for. All backends' kernels share it, so that the
// message is the same wherever the step runs.
#pragma once

#include <cstdint>

#include "graph/op.h"

namespace trireme {

// Throw DataError naming the sample of the global batch unless the index is in range; `sample` counts within
// this rank.
void check_label(int32_t label, int64_t classes, int64_t sample, const StepScalars& scalars);
void check_token(int32_t token, int64_t vocabulary, int64_t sample, int64_t position,
                 const StepScalars& scalars);

}  // namespace trireme
