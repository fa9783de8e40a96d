#include "backend/cpu/kernels/set.h"

#define TRIREME_TEXT_OF(x) #x
#define TRIREME_NAME_OF(x) TRIREME_TEXT_OF(x)

namespace TRIREME_KERNEL_SPACE {

const KernelSet kernel_set = {
    TRIREME_NAME_OF(TRIREME_ISA),
    relu,
    relu_backward,
    tanh_forward,
    tanh_backward,
    sigmoid_forward,
    sigmoid_backward,
    add,
    widen,
    narrow,
    max_pool,
    max_pool_backward,
    norm_sums,
    norm_apply,
    norm_backward_sums,
    norm_backward_apply,
    norm_pool_backward_sums,
    norm_pool_backward_apply,
    dropout,
    gelu,
    gelu_backward,
    layer_norm,
    layer_norm_backward,
    softmax,
    scale_and_shift,
    attention,
    attention_backward,
    pack_panels,
    lstm_step,
    lstm_backward_step,
    rnn_step,
    rnn_backward_step,
    leaky_relu,
    few_channels,
    few_channels_weights,
    lane_sums,
    images_to_lanes,
    lanes_to_images,
    lanes,
};

}  // namespace TRIREME_KERNEL_SPACE
