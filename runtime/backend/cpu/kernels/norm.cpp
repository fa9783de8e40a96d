// Batch norm over rows of channels (channels-last): one pass per sum, one per result. Rows are walked whole,
// in groups of up to four vectors of channels, so that every pass streams through memory once per group.
#include "backend/cpu/kernels/half.h"
#include "backend/cpu/kernels/set.h"

namespace TRIREME_KERNEL_SPACE {
namespace {

// Calls body(first channel, lanes valid) for each vector of channels.
template <class Body>
inline void for_channels(int64_t channels, Body body) {
  for (int64_t c = 0; c < channels; c += lanes) {
    body(c, static_cast<int>(channels - c < lanes ? channels - c : lanes));
  }
}

// dy where the forward result was positive, else 0.
inline Vec masked(Vec dy, Vec x, Vec scale, Vec offset) { return x * scale + offset > Vec{} ? dy : Vec{}; }

template <class T>
inline void norm_sums_of(const T* x, int64_t rows, int64_t channels, const float* shift, float* sum,
                         float* square) {
  for_channels(channels, [=](int64_t c, int n) {
    Vec s0{}, s1{}, q0{}, q1{};
    Vec middle = load_partial(shift + c, n);
    const T* in = x + c;
    int64_t r = 0;
    for (; r + 2 <= rows; r += 2, in += 2 * channels) {
      Vec a = load_partial(in, n) - middle;
      Vec b = load_partial(in + channels, n) - middle;
      s0 += a;
      s1 += b;
      q0 += a * a;
      q1 += b * b;
    }
    if (r < rows) {
      Vec a = load_partial(in, n) - middle;
      s0 += a;
      q0 += a * a;
    }
    store_partial(sum + c, s0 + s1, n);
    store_partial(square + c, q0 + q1, n);
  });
}

template <class T>
inline void norm_apply_of(const T* x, int64_t rows, int64_t channels, const float* scale, const float* offset,
                          bool relu, T* y) {
  for_channels(channels, [=](int64_t c, int n) {
    Vec a = load_partial(scale + c, n);
    Vec b = load_partial(offset + c, n);
    for (int64_t r = 0; r < rows; ++r) {
      Vec v = load_partial(x + r * channels + c, n) * a + b;
      store_partial(y + r * channels + c, relu ? rectify(v) : v, n);
    }
  });
}

template <class T>
inline void norm_backward_sums_of(const T* dy, const T* x, int64_t rows, int64_t channels, const float* mean,
                                  const float* scale, const float* offset, bool relu, float* sum_dz,
                                  float* sum_dz_x) {
  for_channels(channels, [=](int64_t c, int n) {
    Vec m = load_partial(mean + c, n);
    Vec a = load_partial(scale + c, n);
    Vec b = load_partial(offset + c, n);
    Vec s[2] = {};
    Vec q[2] = {};
    for (int64_t r = 0; r < rows; ++r) {
      Vec v = load_partial(x + r * channels + c, n);
      Vec d = load_partial(dy + r * channels + c, n);
      if (relu) d = masked(d, v, a, b);
      s[r & 1] += d;
      q[r & 1] += d * (v - m);
    }
    store_partial(sum_dz + c, s[0] + s[1], n);
    store_partial(sum_dz_x + c, q[0] + q[1], n);
  });
}

template <class T>
inline void norm_backward_apply_of(const T* dy, const T* x, int64_t rows, int64_t channels, const float* mean,
                                   const float* scale, const float* offset, bool relu, const float* a,
                                   const float* b, const float* d, T* dx) {
  for_channels(channels, [=](int64_t c, int n) {
    Vec m = load_partial(mean + c, n);
    Vec forward_scale = load_partial(scale + c, n);
    Vec forward_offset = load_partial(offset + c, n);
    Vec va = load_partial(a + c, n);
    Vec vb = load_partial(b + c, n);
    Vec vd = load_partial(d + c, n);
    for (int64_t r = 0; r < rows; ++r) {
      Vec v = load_partial(x + r * channels + c, n);
      Vec z = load_partial(dy + r * channels + c, n);
      if (relu) z = masked(z, v, forward_scale, forward_offset);
      store_partial(dx + r * channels + c, z * va + (v - m) * vb + vd, n);
    }
  });
}

}  // namespace

void norm_sums(ElementType type, const void* x, int64_t rows, int64_t channels, const float* shift,
               float* sum, float* square) {
  with_type(type, x, [=](auto* in) { norm_sums_of(in, rows, channels, shift, sum, square); });
}

void norm_apply(ElementType type, const void* x, int64_t rows, int64_t channels, const float* scale,
                const float* offset, bool relu, void* y) {
  with_type(type, x,
            [=](auto* in) { norm_apply_of(in, rows, channels, scale, offset, relu, same_type(in, y)); });
}

void norm_backward_sums(ElementType type, const void* dy, const void* x, int64_t rows, int64_t channels,
                        const float* mean, const float* scale, const float* offset, bool relu, float* sum_dz,
                        float* sum_dz_x) {
  with_type(type, dy, [=](auto* in) {
    norm_backward_sums_of(in, same_type(in, x), rows, channels, mean, scale, offset, relu, sum_dz, sum_dz_x);
  });
}

void norm_backward_apply(ElementType type, const void* dy, const void* x, int64_t rows, int64_t channels,
                         const float* mean, const float* scale, const float* offset, bool relu,
                         const float* a, const float* b, const float* d, void* dx) {
  with_type(type, dy, [=](auto* in) {
    norm_backward_apply_of(in, same_type(in, x), rows, channels, mean, scale, offset, relu, a, b, d,
                           same_type(in, dx));
  });
}

}  // namespace TRIREME_KERNEL_SPACE
