// Our own CPU kernels, float32 where no ElementType is given. Every .cpp beside this file is compiled once
// per instruction set (namespaces avx512, avx2, plain; see backend.cmake); `best_kernels` picks the set at
// run time. A kernel is serial: it works on the part of the data that it is given, and the binder shares
// parts out among threads. Nothing here allocates.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cpu/kernels/attention_task.h"
#include "backend/cpu/kernels/few_channels_task.h"
#include "backend/cpu/kernels/recurrent_task.h"

namespace trireme::cpu {

// One image of a max pooling. `argmax` is the position in the window, row by row.
struct MaxPoolTask {
  const void* x;
  void* y;
  uint8_t* argmax;
  int64_t height, width, channels;
  int64_t out_height, out_width;
  int64_t kernel, stride, padding;
  ElementType type = ElementType::float32;  // of x and y
};

// Of 16 bits, windows must not overlap: sums are not made in dx.
struct MaxPoolBackwardTask {
  const void* dy;
  const uint8_t* argmax;
  void* dx;
  int64_t height, width, channels;
  int64_t out_height, out_width;
  int64_t kernel, stride, padding;
  ElementType type = ElementType::float32;  // of dy and dx
};

// One image on its way back through relu, 2x2 max pooling at steps of 2 and batch norm. The windows cover it:
// x and dx are [2 out_height, 2 out_width, channels].
struct NormPoolBackwardTask {
  const void *dy, *y;  // [out_height, out_width, channels], like argmax; y is behind the relu
  const uint8_t* argmax;
  const void* x;
  void* dx;
  int64_t out_height, out_width, channels;
  ElementType type = ElementType::float32;   // of dy, y, x and dx
  const float *mean, *a, *slope, *constant;  // by channel
  float *sum_dz, *sum_dz_x;
};

// Of a row of logits: the largest, the sum of exp(z - largest), the sum of z - largest.
struct SoftmaxRow {
  float largest, exponentials, differences;
};

struct KernelSet {
  const char* name;
  void (*relu)(ElementType type, const void* x, void* y, int64_t count);
  void (*relu_backward)(ElementType type, const void* dy, const void* y, void* dx, int64_t count);
  void (*tanh)(ElementType type, const void* x, void* y, int64_t count);
  void (*tanh_backward)(ElementType type, const void* dy, const void* y, void* dx, int64_t count);
  void (*sigmoid)(ElementType type, const void* x, void* y, int64_t count);
  void (*sigmoid_backward)(ElementType type, const void* dy, const void* y, void* dx, int64_t count);
  void (*add)(ElementType type, const void* a, const void* b, void* y, int64_t count);
  // To float32 and back, rounded to nearest even.
  void (*widen)(ElementType type, const void* x, float* y, int64_t count);
  void (*narrow)(ElementType type, const float* x, void* y, int64_t count);
  void (*max_pool)(const MaxPoolTask&);
  void (*max_pool_backward)(const MaxPoolBackwardTask&);
  // Batch norm over rows of `channels`; x, y, dy and dx are of `type`: sum[c] = sum of x - shift[c],
  // square[c] = sum of (x - shift[c])^2.
  void (*norm_sums)(ElementType type, const void* x, int64_t rows, int64_t channels, const float* shift,
                    float* sum, float* square);
  // y = x * scale[c] + offset[c], with relu if asked.
  void (*norm_apply)(ElementType type, const void* x, int64_t rows, int64_t channels, const float* scale,
                     const float* offset, bool relu, void* y);
  // Sums over rows of dz and dz * (x - mean), where dz = dy, or dy masked by x * scale + offset > 0.
  void (*norm_backward_sums)(ElementType type, const void* dy, const void* x, int64_t rows, int64_t channels,
                             const float* mean, const float* scale, const float* offset, bool relu,
                             float* sum_dz, float* sum_dz_x);
  // dx = dz * a[c] + (x - mean[c]) * b[c] + d[c]
  void (*norm_backward_apply)(ElementType type, const void* dy, const void* x, int64_t rows, int64_t channels,
                              const float* mean, const float* scale, const float* offset, bool relu,
                              const float* a, const float* b, const float* d, void* dx);
  // Sums of dz and dz * (x - mean) over the image's pixels, where dz is what comes back to a pixel; and
  // dx = dz * a[c] + (x - mean[c]) * slope[c] + constant[c].
  void (*norm_pool_backward_sums)(const NormPoolBackwardTask&);
  void (*norm_pool_backward_apply)(const NormPoolBackwardTask&);
  // Dropout of rows (samples) of `elements`: see ops/dropout.h for the draw. key0, key1, step, layer as
  // there.
  void (*dropout)(ElementType type, const void* x, void* y, int64_t first_sample, int64_t rows,
                  int64_t elements, uint32_t key0, uint32_t key1, uint32_t step, uint32_t layer, float rate);
  // GELU by erf or by tanh (ops/gelu.cpp) of `count` elements of `type`.
  void (*gelu)(ElementType type, const void* x, void* y, int64_t count, bool by_tanh);
  void (*gelu_backward)(ElementType type, const void* dy, const void* x, void* dx, int64_t count,
                        bool by_tanh);
  // Layer norm of rows of `channels`; mean and inv_std of each row.
  void (*layer_norm)(const float* x, int64_t rows, int64_t channels, const float* gamma, const float* beta,
                     float epsilon, float* y, float* mean, float* inv_std);
  // dgamma and dbeta are sums over these rows alone.
  void (*layer_norm_backward)(const float* dy, const float* x, int64_t rows, int64_t channels,
                              const float* gamma, const float* mean, const float* inv_std, float* dx,
                              float* dgamma, float* dbeta);
  // p = softmax(z) of rows of `classes`.
  void (*softmax)(const float* z, int64_t rows, int64_t classes, float* p, SoftmaxRow* results);
  // y = x * scale + shift
  void (*scale_and_shift)(const float* x, int64_t count, float scale, float shift, float* y);
  // One head of one sample.
  void (*attention)(const AttentionTask&);
  void (*attention_backward)(const AttentionBackwardTask&);
  // One step of a recurrence for some samples, its weights packed before.
  void (*pack_panels)(const PanelTask&);
  void (*lstm_step)(const LstmTask&);
  void (*lstm_backward_step)(const LstmBackwardTask&);
  void (*rnn_step)(const RnnTask&);
  void (*rnn_backward_step)(const RnnBackwardTask&);
  // Of `type`: y = x, or slope x where the sign is not positive.
  void (*leaky_relu)(ElementType type, const void* x, const void* sign, float slope, void* y, int64_t count);
  // Convolutions with a vector of images (few_channels_task.h).
  void (*few_channels)(const FewChannelsTask&);
  void (*few_channels_weights)(const FewChannelsWeightsTask&);
  // sums[c] = the sum over pixels and images of lanes[pixel][c][image].
  void (*lane_sums)(const float* lanes, int64_t pixels, int64_t channels, float* sums);
  void (*images_to_lanes)(const LanesTask&);
  void (*lanes_to_images)(const LanesTask&);
  int lanes;  // floats of a vector
};

// The kernels of the widest instruction set that this processor has.
const KernelSet& best_kernels();
// A set by name ("avx512", "avx2", "plain"); null when unknown or when the processor cannot run it. For
// tests.
const KernelSet* find_kernels(const char* name);

}  // namespace trireme::cpu
