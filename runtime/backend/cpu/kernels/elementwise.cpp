// Loops over contiguous elements of any type: computed in float, 16-bit results rounded.
#include "backend/cpu/kernels/draws.h"
#include "backend/cpu/kernels/functions.h"
#include "backend/cpu/kernels/half.h"
#include "backend/cpu/kernels/set.h"

namespace TRIREME_KERNEL_SPACE {
namespace {

// out[i] = body(i, lanes valid), vector by vector.
template <class T, class Body>
inline void for_elements(T* out, int64_t count, const Body& body) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(out + i, body(i, lanes));
  if (i < count) store_partial(out + i, body(i, static_cast<int>(count - i)), static_cast<int>(count - i));
}

template <class T>
inline Vec load_some(const T* p, int n) {
  return n == lanes ? load(p) : load_partial(p, n);
}

// y = value(x)
template <class Value>
inline void map(ElementType type, const void* x, void* y, int64_t count, const Value& value) {
  with_type(type, x, [=](auto* in) {
    for_elements(same_type(in, y), count, [=](int64_t i, int n) { return value(load_some(in + i, n)); });
  });
}

// dx = dy * slope(y)
template <class Slope>
inline void map_backward(ElementType type, const void* dy, const void* y, void* dx, int64_t count,
                         const Slope& slope) {
  with_type(type, dy, [=](auto* in) {
    auto* result = same_type(in, y);
    for_elements(same_type(in, dx), count,
                 [=](int64_t i, int n) { return load_some(in + i, n) * slope(load_some(result + i, n)); });
  });
}

}  // namespace

void tanh_forward(ElementType type, const void* x, void* y, int64_t count) {
  map(type, x, y, count, [](Vec v) { return tangent(v); });
}

void tanh_backward(ElementType type, const void* dy, const void* y, void* dx, int64_t count) {
  map_backward(type, dy, y, dx, count, [](Vec v) { return 1.0f - v * v; });
}

void sigmoid_forward(ElementType type, const void* x, void* y, int64_t count) {
  map(type, x, y, count, [](Vec v) { return sigmoid(v); });
}

void sigmoid_backward(ElementType type, const void* dy, const void* y, void* dx, int64_t count) {
  map_backward(type, dy, y, dx, count, [](Vec v) { return v * (1.0f - v); });
}

void relu(ElementType type, const void* x, void* y, int64_t count) {
  with_type(type, x, [=](auto* in) {
    for_elements(same_type(in, y), count, [=](int64_t i, int n) { return rectify(load_some(in + i, n)); });
  });
}

void relu_backward(ElementType type, const void* dy, const void* y, void* dx, int64_t count) {
  with_type(type, dy, [=](auto* in) {
    auto* result = same_type(in, y);
    for_elements(same_type(in, dx), count, [=](int64_t i, int n) {
      return load_some(result + i, n) > Vec{} ? load_some(in + i, n) : Vec{};
    });
  });
}

void add(ElementType type, const void* a, const void* b, void* y, int64_t count) {
  with_type(type, a, [=](auto* in) {
    auto* other = same_type(in, b);
    for_elements(same_type(in, y), count,
                 [=](int64_t i, int n) { return load_some(in + i, n) + load_some(other + i, n); });
  });
}

void widen(ElementType type, const void* x, float* y, int64_t count) {
  with_type(type, x, [=](auto* in) {
    for_elements(y, count, [=](int64_t i, int n) { return load_some(in + i, n); });
  });
}

void narrow(ElementType type, const float* x, void* y, int64_t count) {
  with_type(type, y, [=](auto* out) {
    for_elements(out, count, [=](int64_t i, int n) { return load_some(x + i, n); });
  });
}

// Draws as in ops/dropout.h.
void dropout(ElementType type, const void* x, void* y, int64_t first_sample, int64_t rows, int64_t elements,
             uint32_t key0, uint32_t key1, uint32_t step, uint32_t layer, float rate) {
  const float scale = 1.0f / (1.0f - rate);
  with_type(type, x, [=](auto* first) {
    for (int64_t row = 0; row < rows; ++row) {
      const auto* in = first + row * elements;
      auto* out = same_type(first, y) + row * elements;
      auto sample = static_cast<uint32_t>(first_sample + row);
      for (int64_t e = 0; e < elements; e += 4 * lanes) {
        draw_uniforms(static_cast<uint32_t>(e / 4), sample, step, layer, key0, key1,
                      [&](int part, Vec uniform) {
                        int64_t at = e + part * lanes;
                        if (at >= elements) return;
                        int n = static_cast<int>(elements - at < lanes ? elements - at : lanes);
                        Vec kept = load_partial(in + at, n) * scale;
                        store_partial(out + at, uniform >= Vec{} + rate ? kept : Vec{}, n);
                      });
      }
    }
  });
}

void leaky_relu(ElementType type, const void* x, const void* sign, float slope, void* y, int64_t count) {
  with_type(type, x, [=]<class T>(const T* values) {
    auto* signs = static_cast<const T*>(sign);
    auto* out = static_cast<T*>(y);
    for (int64_t i = 0; i < count; i += lanes) {
      int n = static_cast<int>(count - i < lanes ? count - i : lanes);
      Vec v = load_partial(values + i, n);
      store_partial(out + i, load_partial(signs + i, n) > Vec{} ? v : v * slope, n);
    }
  });
}

}  // namespace TRIREME_KERNEL_SPACE
