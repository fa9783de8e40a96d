// Max pooling of one channels-last image. The first maximum of a window wins; positions outside of the image
// never do.
#include "backend/cpu/kernels/half.h"
#include "backend/cpu/kernels/set.h"

namespace TRIREME_KERNEL_SPACE {
namespace {

// The part of an output's window that lies inside the image, and the first row and column of the whole
// window.
struct Window {
  int64_t top, left, y0, y1, x0, x1;
};

template <class Task>
inline Window window_of(const Task& t, int64_t oy, int64_t ox) {
  Window w;
  w.top = oy * t.stride - t.padding;
  w.left = ox * t.stride - t.padding;
  w.y0 = w.top < 0 ? 0 : w.top;
  w.x0 = w.left < 0 ? 0 : w.left;
  w.y1 = w.top + t.kernel < t.height ? w.top + t.kernel : t.height;
  w.x1 = w.left + t.kernel < t.width ? w.left + t.kernel : t.width;
  return w;
}

// Calls body(output offset, input pixel offset of the window's corner, oy, ox, first channel, lanes valid).
template <class Task, class Body>
inline void for_each_output(const Task& t, const Body& body) {
  for (int64_t oy = 0; oy < t.out_height; ++oy) {
    for (int64_t ox = 0; ox < t.out_width; ++ox) {
      int64_t out = (oy * t.out_width + ox) * t.channels;
      for (int64_t c = 0; c < t.channels; c += lanes) {
        body(out + c, oy, ox, c, static_cast<int>(t.channels - c < lanes ? t.channels - c : lanes));
      }
    }
  }
}

inline void take_larger(Vec v, int where, Vec& best, IntVec& position) {
  IntVec larger = v > best;
  best = larger ? v : best;
  position = larger ? IntVec{} + where : position;
}

template <class Task>
inline bool is_halving(const Task& t) {
  return t.kernel == 2 && t.stride == 2 && t.padding == 0;
}

// 2x2 windows that lie wholly inside the image: the common case, without loops.
template <class T>
void max_pool_halving(const MaxPoolTask& t, const T* image, T* result) {
  int64_t row = t.width * t.channels;
  for_each_output(t, [&](int64_t out, int64_t oy, int64_t ox, int64_t c, int n) {
    const T* x = image + 2 * oy * row + 2 * ox * t.channels + c;
    Vec best = load_partial(x, n);
    IntVec position{};
    take_larger(load_partial(x + t.channels, n), 1, best, position);
    take_larger(load_partial(x + row, n), 2, best, position);
    take_larger(load_partial(x + row + t.channels, n), 3, best, position);
    store_partial(result + out, best, n);
    store_bytes(t.argmax + out, position, n);
  });
}

template <class T>
void max_pool_halving_backward(const MaxPoolBackwardTask& t, const T* gradient, T* image) {
  int64_t row = t.width * t.channels;
  for_each_output(t, [&](int64_t out, int64_t oy, int64_t ox, int64_t c, int n) {
    T* dx = image + 2 * oy * row + 2 * ox * t.channels + c;
    Vec d = load_partial(gradient + out, n);
    IntVec position = load_bytes(t.argmax + out, n);
    store_partial(dx, position == 0 ? d : Vec{}, n);
    store_partial(dx + t.channels, position == 1 ? d : Vec{}, n);
    store_partial(dx + row, position == 2 ? d : Vec{}, n);
    store_partial(dx + row + t.channels, position == 3 ? d : Vec{}, n);
  });
}

template <class T>
void max_pool_of(const MaxPoolTask& t, const T* image, T* result) {
  if (is_halving(t)) return max_pool_halving(t, image, result);
  for_each_output(t, [&](int64_t out, int64_t oy, int64_t ox, int64_t c, int n) {
    Window w = window_of(t, oy, ox);
    Vec best = load_partial(image + (w.y0 * t.width + w.x0) * t.channels + c, n);
    IntVec position = IntVec{} + static_cast<int>((w.y0 - w.top) * t.kernel + (w.x0 - w.left));
    for (int64_t iy = w.y0; iy < w.y1; ++iy) {
      for (int64_t ix = w.x0; ix < w.x1; ++ix) {
        take_larger(load_partial(image + (iy * t.width + ix) * t.channels + c, n),
                    static_cast<int>((iy - w.top) * t.kernel + (ix - w.left)), best, position);
      }
    }
    store_partial(result + out, best, n);
    store_bytes(t.argmax + out, position, n);
  });
}

// Halving windows that cover the image write every input once; the others add to zeroed memory.
template <class T>
void max_pool_backward_of(const MaxPoolBackwardTask& t, const T* gradient, T* image) {
  bool covers = 2 * t.out_height == t.height && 2 * t.out_width == t.width;
  if (is_halving(t) && covers) return max_pool_halving_backward(t, gradient, image);
  int64_t count = t.height * t.width * t.channels;
  for (int64_t i = 0; i < count; ++i) image[i] = T{};
  for_each_output(t, [&](int64_t out, int64_t oy, int64_t ox, int64_t c, int n) {
    Window w = window_of(t, oy, ox);
    Vec d = load_partial(gradient + out, n);
    IntVec position = load_bytes(t.argmax + out, n);
    for (int64_t iy = w.y0; iy < w.y1; ++iy) {
      for (int64_t ix = w.x0; ix < w.x1; ++ix) {
        T* dx = image + (iy * t.width + ix) * t.channels + c;
        IntVec here = position == static_cast<int>((iy - w.top) * t.kernel + (ix - w.left));
        store_partial(dx, load_partial(dx, n) + (here ? d : Vec{}), n);
      }
    }
  });
}

}  // namespace

void max_pool(const MaxPoolTask& t) {
  with_type(t.type, t.x, [&](auto* image) { max_pool_of(t, image, same_type(image, t.y)); });
}

void max_pool_backward(const MaxPoolBackwardTask& t) {
  with_type(t.type, t.dy,
            [&](auto* gradient) { max_pool_backward_of(t, gradient, same_type(gradient, t.dx)); });
}

}  // namespace TRIREME_KERNEL_SPACE
