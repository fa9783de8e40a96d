// Loops over contiguous elements.
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

namespace {

typedef uint32_t WordVec __attribute__((vector_size(TRIREME_LANES * 4)));
typedef uint64_t WideVec __attribute__((vector_size(TRIREME_LANES * 8)));

// High and low words of the products of two 32-bit vectors.
inline void multiply(WordVec a, uint32_t b, WordVec& high, WordVec& low) {
  WideVec product = __builtin_convertvector(a, WideVec) * static_cast<uint64_t>(b);
  low = a * b;
  high = __builtin_convertvector(product >> 32, WordVec);
}

}  // namespace

// Lane i draws counter word c0 = block + i (ops/dropout.h): four elements a lane, stored interleaved.
void dropout(const float* x, float* y, int64_t first_sample, int64_t rows, int64_t elements, uint32_t key0,
             uint32_t key1, uint32_t step, uint32_t layer, float rate) {
  const float scale = 1.0f / (1.0f - rate);
  WordVec lane{};
  for (int i = 0; i < lanes; ++i) lane[i] = static_cast<uint32_t>(i);
  for (int64_t row = 0; row < rows; ++row) {
    const float* in = x + row * elements;
    float* out = y + row * elements;
    for (int64_t e = 0; e < elements; e += 4 * lanes) {
      WordVec c0 = lane + static_cast<uint32_t>(e / 4);
      WordVec c1 = WordVec{} + static_cast<uint32_t>(first_sample + row);
      WordVec c2 = WordVec{} + step;
      WordVec c3 = WordVec{} + layer;
      uint32_t k0 = key0;
      uint32_t k1 = key1;
      for (int round = 0; round < 10; ++round) {
        WordVec high0, low0, high1, low1;
        multiply(c0, 0xD2511F53u, high0, low0);
        multiply(c2, 0xCD9E8D57u, high1, low1);
        c0 = high1 ^ c1 ^ k0;
        c2 = high0 ^ c3 ^ k1;
        c1 = low1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
      }
      alignas(64) uint32_t words[4][TRIREME_LANES];
      for (int i = 0; i < lanes; ++i) {
        words[0][i] = c0[i];
        words[1][i] = c1[i];
        words[2][i] = c2[i];
        words[3][i] = c3[i];
      }
      int64_t left = elements - e;
      int64_t count = left < 4 * lanes ? left : 4 * lanes;
      for (int64_t i = 0; i < count; ++i) {
        float uniform = static_cast<float>(words[i % 4][i / 4] >> 8) * 0x1p-24f;
        out[e + i] = uniform >= rate ? in[e + i] * scale : 0.0f;
      }
    }
  }
}

}  // namespace TRIREME_KERNEL_SPACE
