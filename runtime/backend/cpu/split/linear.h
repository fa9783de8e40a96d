// Matrix products of `linear` and its backward ops by split/kernels.h.
#pragma once

#include "backend/cpu/binder.h"

namespace trireme::cpu::split {

// Whether the products of `rows` rows of `in` values with weights [in, out] are made here rather than by the
// library: float32, matrix units, enough rows to pay for splitting the weights at every step, and extents
// that fill tiles.
bool takes_linear(const Binding& b, int64_t rows, int64_t in, int64_t out);

Kernel bind_linear(const Binding& b);
Kernel bind_linear_backward_data(const Binding& b);
Kernel bind_linear_backward_weights(const Binding& b);

}  // namespace trireme::cpu::split
