// Convolutions and their backward ops by split/kernels.h.
#pragma once

#include "backend/cpu/binder.h"

namespace trireme::cpu::split {

// Whether a convolution of x [N, H, W, C] by w [KH, KW, C, O] is computed here rather than by the library:
// float32, matrix units, and enough images and channels to fill them.
bool takes_convolution(const Binding& b, const Shape& x, const Shape& w);

Kernel bind_convolution(const Binding& b);
Kernel bind_convolution_backward_data(const Binding& b);
Kernel bind_convolution_backward_weights(const Binding& b);

}  // namespace trireme::cpu::split
