// Max pooling of one channels-last image. The first maximum of a window wins; positions outside of the image never do.
#include "backend/cpu/kernels/set.h"

namespace TRIREME_KERNEL_SPACE {
namespace {

typedef uint8_t ByteVec __attribute__((vector_size(TRIREME_LANES)));

struct Window {
  int64_t top, left, y0, y1, x0, x1;
};

// The part of the window of output (oy, ox) that lies inside the image.
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

inline void store_positions(uint8_t* out, IntVec position, int n) {
  ByteVec bytes = __builtin_convertvector(position, ByteVec);
  if (n == lanes) {
    __builtin_memcpy(out, &bytes, lanes);
  } else {
    for (int i = 0; i < n; ++i) out[i] = bytes[i];
  }
}

inline IntVec load_positions(const uint8_t* in, int n) {
  ByteVec bytes{};
  if (n == lanes) {
    __builtin_memcpy(&bytes, in, lanes);
  } else {
    for (int i = 0; i < n; ++i) bytes[i] = in[i];
  }
  return __builtin_convertvector(bytes, IntVec);
}

}  // namespace

void max_pool(const MaxPoolTask& t) {
  for (int64_t oy = 0; oy < t.out_height; ++oy) {
    for (int64_t ox = 0; ox < t.out_width; ++ox) {
      Window w = window_of(t, oy, ox);
      int64_t out = (oy * t.out_width + ox) * t.channels;
      for (int64_t c = 0; c < t.channels; c += lanes) {
        int n = static_cast<int>(t.channels - c < lanes ? t.channels - c : lanes);
        int first = static_cast<int>((w.y0 - w.top) * t.kernel + (w.x0 - w.left));
        Vec best = load_partial(t.x + (w.y0 * t.width + w.x0) * t.channels + c, n);
        IntVec position = IntVec{} + first;
        for (int64_t iy = w.y0; iy < w.y1; ++iy) {
          for (int64_t ix = w.x0; ix < w.x1; ++ix) {
            Vec v = load_partial(t.x + (iy * t.width + ix) * t.channels + c, n);
            IntVec here = IntVec{} + static_cast<int>((iy - w.top) * t.kernel + (ix - w.left));
            IntVec larger = v > best;
            best = larger ? v : best;
            position = larger ? here : position;
          }
        }
        store_partial(t.y + out + c, best, n);
        store_positions(t.argmax + out + c, position, n);
      }
    }
  }
}

// Windows that do not overlap write every input they cover exactly once; the others add to zeroed memory.
void max_pool_backward(const MaxPoolBackwardTask& t) {
  bool once = t.stride == t.kernel && t.padding == 0;
  bool covered = once && t.out_height * t.stride == t.height && t.out_width * t.stride == t.width;
  int64_t count = t.height * t.width * t.channels;
  if (!covered) {
    for (int64_t i = 0; i < count; ++i) t.dx[i] = 0.0f;
  }
  for (int64_t oy = 0; oy < t.out_height; ++oy) {
    for (int64_t ox = 0; ox < t.out_width; ++ox) {
      Window w = window_of(t, oy, ox);
      int64_t out = (oy * t.out_width + ox) * t.channels;
      for (int64_t c = 0; c < t.channels; c += lanes) {
        int n = static_cast<int>(t.channels - c < lanes ? t.channels - c : lanes);
        Vec d = load_partial(t.dy + out + c, n);
        IntVec position = load_positions(t.argmax + out + c, n);
        for (int64_t iy = w.y0; iy < w.y1; ++iy) {
          for (int64_t ix = w.x0; ix < w.x1; ++ix) {
            float* dx = t.dx + (iy * t.width + ix) * t.channels + c;
            IntVec here = position == static_cast<int>((iy - w.top) * t.kernel + (ix - w.left));
            Vec part = here ? d : Vec{};
            if (!once) part += load_partial(dx, n);
            store_partial(dx, part, n);
          }
        }
      }
    }
  }
}

}  // namespace TRIREME_KERNEL_SPACE
