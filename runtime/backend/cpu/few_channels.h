// Convolutions with few channels by our own kernels, a vector of images at a time (kernels/few_channels.cpp).
#pragma once

#include "backend/cpu/binder.h"

namespace trireme::cpu {

// Whether these are made here rather than by the library: float32, stride 1, groups of images for every
// thread, all of which a thread needs at a time in its second-level cache, and so few channels that it was
// measured faster (bench_ops).
bool takes_few_channels(const Binding& b);
bool takes_few_channels_backward_data(const Binding& b);
bool takes_few_channels_backward_weights(const Binding& b);

Kernel bind_few_channels(const Binding& b);
Kernel bind_few_channels_backward_data(const Binding& b);
Kernel bind_few_channels_backward_weights(const Binding& b);

}  // namespace trireme::cpu
