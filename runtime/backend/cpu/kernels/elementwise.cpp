// Loops over contiguous elements.
#include "backend/cpu/kernels/draws.h"
#include "backend/cpu/kernels/set.h"

namespace TRIREME_KERNEL_SPACE {

void relu(const float* x, float* y, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(y + i, rectify(load(x + i)));
  for (; i < count; ++i) y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

void relu_backward(const float* dy, const float* y, float* dx, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(dx + i, load(y + i) > Vec{} ? load(dy + i) : Vec{});
  for (; i < count; ++i) dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

void add(const float* a, const float* b, float* y, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(y + i, load(a + i) + load(b + i));
  for (; i < count; ++i) y[i] = a[i] + b[i];
}

// Draws as in ops/dropout.h.
void dropout(const float* x, float* y, int64_t first_sample, int64_t rows, int64_t elements, uint32_t key0,
             uint32_t key1, uint32_t step, uint32_t layer, float rate) {
  const float scale = 1.0f / (1.0f - rate);
  for (int64_t row = 0; row < rows; ++row) {
    const float* in = x + row * elements;
    float* out = y + row * elements;
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
}

}  // namespace TRIREME_KERNEL_SPACE
