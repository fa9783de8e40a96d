// What the files of this folder offer to the kernel set of their instruction set.
#pragma once

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/vector.h"

namespace TRIREME_KERNEL_SPACE {

void relu(ElementType, const void*, void*, int64_t);
void relu_backward(ElementType, const void*, const void*, void*, int64_t);
void tanh_forward(ElementType, const void*, void*, int64_t);
void tanh_backward(ElementType, const void*, const void*, void*, int64_t);
void sigmoid_forward(ElementType, const void*, void*, int64_t);
void sigmoid_backward(ElementType, const void*, const void*, void*, int64_t);
void add(ElementType, const void*, const void*, void*, int64_t);
void widen(ElementType, const void*, float*, int64_t);
void narrow(ElementType, const float*, void*, int64_t);
void max_pool(const MaxPoolTask&);
void max_pool_backward(const MaxPoolBackwardTask&);
void norm_sums(ElementType, const void*, int64_t, int64_t, const float*, float*, float*);
void norm_apply(ElementType, const void*, int64_t, int64_t, const float*, const float*, bool, void*);
void norm_backward_sums(ElementType, const void*, const void*, int64_t, int64_t, const float*, const float*,
                        const float*, bool, float*, float*);
void norm_backward_apply(ElementType, const void*, const void*, int64_t, int64_t, const float*, const float*,
                         const float*, bool, const float*, const float*, const float*, void*);
void norm_pool_backward_sums(const NormPoolBackwardTask&);
void norm_pool_backward_apply(const NormPoolBackwardTask&);
void dropout(ElementType, const void*, void*, int64_t, int64_t, int64_t, uint32_t, uint32_t, uint32_t,
             uint32_t, float);
void gelu(ElementType, const void*, void*, int64_t, bool);
void gelu_backward(ElementType, const void*, const void*, void*, int64_t, bool);
void layer_norm(const float*, int64_t, int64_t, const float*, const float*, float, float*, float*, float*);
void layer_norm_backward(const float*, const float*, int64_t, int64_t, const float*, const float*,
                         const float*, float*, float*, float*);
void softmax(const float*, int64_t, int64_t, float*, SoftmaxRow*);
void scale_and_shift(const float*, int64_t, float, float, float*);
void attention(const AttentionTask&);
void attention_backward(const AttentionBackwardTask&);
void pack_panels(const PanelTask&);
void lstm_step(const LstmTask&);
void lstm_backward_step(const LstmBackwardTask&);
void rnn_step(const RnnTask&);
void rnn_backward_step(const RnnBackwardTask&);
void leaky_relu(ElementType, const void*, const void*, float, void*, int64_t);
void few_channels(const FewChannelsTask&);
void few_channels_weights(const FewChannelsWeightsTask&);
void lane_sums(const float*, int64_t, int64_t, float*);
void images_to_lanes(const LanesTask&);
void lanes_to_images(const LanesTask&);

extern const KernelSet kernel_set;

}  // namespace TRIREME_KERNEL_SPACE
