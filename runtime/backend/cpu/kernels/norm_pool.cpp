// The backward pass of batch norm, 2x2 max pooling and relu in one, for an image that the windows cover: each
// pixel is read once for the sums and once for dx, and the gradient between the ops lives in registers.
#include "backend/cpu/kernels/half.h"
#include "backend/cpu/kernels/set.h"

namespace TRIREME_KERNEL_SPACE {
namespace {

// dy where the relu let the maximum through.
template <class T>
inline Vec let_through(const T* dy, const T* y, int64_t at, int n) {
  return load_partial(y + at, n) > Vec{} ? load_partial(dy + at, n) : Vec{};
}

template <class T>
inline void sums_of(const NormPoolBackwardTask& t, const T* dy) {
  const T* y = same_type(dy, t.y);
  const T* x = same_type(dy, t.x);
  int64_t columns = 2 * t.out_width * t.channels;
  for (int64_t c = 0; c < t.channels; c += lanes) {
    int n = static_cast<int>(t.channels - c < lanes ? t.channels - c : lanes);
    Vec mean = load_partial(t.mean + c, n);
    Vec s[2] = {};
    Vec q[2] = {};
    for (int64_t oy = 0; oy < t.out_height; ++oy) {
      for (int64_t ox = 0; ox < t.out_width; ++ox) {
        int64_t out = (oy * t.out_width + ox) * t.channels + c;
        const T* pixel = x + 2 * oy * columns + 2 * ox * t.channels + c;
        Vec d = let_through(dy, y, out, n);
        IntVec position = load_bytes(t.argmax + out, n);
        Vec upper = position == 1 ? load_partial(pixel + t.channels, n) : load_partial(pixel, n);
        Vec lower =
            position == 3 ? load_partial(pixel + columns + t.channels, n) : load_partial(pixel + columns, n);
        Vec won = position >= 2 ? lower : upper;
        s[ox & 1] += d;
        q[ox & 1] += d * (won - mean);
      }
    }
    store_partial(t.sum_dz + c, s[0] + s[1], n);
    store_partial(t.sum_dz_x + c, q[0] + q[1], n);
  }
}

template <class T>
inline void apply_of(const NormPoolBackwardTask& t, const T* dy) {
  const T* y = same_type(dy, t.y);
  const T* x = same_type(dy, t.x);
  T* dx = same_type(dy, t.dx);
  int64_t columns = 2 * t.out_width * t.channels;
  for (int64_t oy = 0; oy < t.out_height; ++oy) {
    for (int64_t ox = 0; ox < t.out_width; ++ox) {
      for (int64_t c = 0; c < t.channels; c += lanes) {
        int n = static_cast<int>(t.channels - c < lanes ? t.channels - c : lanes);
        int64_t out = (oy * t.out_width + ox) * t.channels + c;
        int64_t first = 2 * oy * columns + 2 * ox * t.channels + c;
        Vec mean = load_partial(t.mean + c, n), slope = load_partial(t.slope + c, n);
        Vec constant = load_partial(t.constant + c, n);
        Vec d = let_through(dy, y, out, n) * load_partial(t.a + c, n);
        IntVec position = load_bytes(t.argmax + out, n);
        for (int k = 0; k < 4; ++k) {
          int64_t at = first + (k / 2) * columns + (k % 2) * t.channels;
          Vec rest = (load_partial(x + at, n) - mean) * slope + constant;
          store_partial(dx + at, (position == k ? d : Vec{}) + rest, n);
        }
      }
    }
  }
}

}  // namespace

void norm_pool_backward_sums(const NormPoolBackwardTask& t) {
  with_type(t.type, t.dy, [&](auto* dy) { sums_of(t, dy); });
}

void norm_pool_backward_apply(const NormPoolBackwardTask& t) {
  with_type(t.type, t.dy, [&](auto* dy) { apply_of(t, dy); });
}

}  // namespace TRIREME_KERNEL_SPACE
