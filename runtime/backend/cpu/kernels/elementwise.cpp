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

// Lanes taken from a and b in turn, starting with lane `first` of each.
template <int first>
inline WordVec zip(WordVec a, WordVec b) {
  WordVec order{};
  for (int i = 0; i < lanes; ++i) order[i] = static_cast<uint32_t>(first + i / 2 + (i % 2) * lanes);
  return __builtin_shuffle(a, b, order);
}

// Calls body(part, words) for the four vectors of c0[0], c1[0], c2[0], c3[0], c0[1], ...
template <class Body>
inline void interleave(WordVec c0, WordVec c1, WordVec c2, WordVec c3, const Body& body) {
  constexpr int half = lanes / 2;
  WordVec even_low = zip<0>(c0, c2);
  WordVec even_high = zip<half>(c0, c2);
  WordVec odd_low = zip<0>(c1, c3);
  WordVec odd_high = zip<half>(c1, c3);
  body(0, zip<0>(even_low, odd_low));
  body(1, zip<half>(even_low, odd_low));
  body(2, zip<0>(even_high, odd_high));
  body(3, zip<half>(even_high, odd_high));
}

}  // namespace

// Lane i draws counter word c0 = block + i (ops/dropout.h): four elements a lane, in order after interleaving.
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
      interleave(c0, c1, c2, c3, [&](int part, WordVec words) {
        int64_t at = e + part * lanes;
        if (at >= elements) return;
        int n = static_cast<int>(elements - at < lanes ? elements - at : lanes);
        Vec uniform = __builtin_convertvector(reinterpret_cast<IntVec>(words >> 8), Vec) * 0x1p-24f;
        Vec kept = load_partial(in + at, n) * scale;
        store_partial(out + at, uniform >= Vec{} + rate ? kept : Vec{}, n);
      });
    }
  }
}

}  // namespace TRIREME_KERNEL_SPACE
