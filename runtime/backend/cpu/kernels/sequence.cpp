// Loops over the rows of a transformer: layer norm, softmax.
#include "backend/cpu/kernels/functions.h"
#include "backend/cpu/kernels/half.h"
#include "backend/cpu/kernels/set.h"

namespace TRIREME_KERNEL_SPACE {
namespace {

// Calls body(first element, lanes valid) for each vector of a row.
template <class Body>
inline void for_vectors(int64_t count, const Body& body) {
  for (int64_t c = 0; c < count; c += lanes) {
    body(c, static_cast<int>(count - c < lanes ? count - c : lanes));
  }
}

}  // namespace

// The row stays in the first-level cache: mean, then the squares of what differs from it, then the result.
void layer_norm(const float* x, int64_t rows, int64_t channels, const float* gamma, const float* beta,
                float epsilon, float* y, float* mean, float* inv_std) {
  const float each = 1.0f / static_cast<float>(channels);
  for (int64_t r = 0; r < rows; ++r, x += channels, y += channels) {
    Vec sum{};
    for_vectors(channels, [&](int64_t c, int n) { sum += load_partial(x + c, n); });
    const float middle = sum_of_lanes(sum) * each;
    Vec squares{};
    for_vectors(channels, [&](int64_t c, int n) {
      Vec difference = load_partial(x + c, n) - middle;
      difference = lane_numbers() < n ? difference : Vec{};
      squares += difference * difference;
    });
    const float factor = 1.0f / __builtin_sqrtf(sum_of_lanes(squares) * each + epsilon);
    for_vectors(channels, [&](int64_t c, int n) {
      Vec normal = (load_partial(x + c, n) - middle) * factor;
      store_partial(y + c, normal * load_partial(gamma + c, n) + load_partial(beta + c, n), n);
    });
    mean[r] = middle;
    inv_std[r] = factor;
  }
}

void layer_norm_backward(const float* dy, const float* x, int64_t rows, int64_t channels, const float* gamma,
                         const float* mean, const float* inv_std, float* dx, float* dgamma, float* dbeta) {
  const float each = 1.0f / static_cast<float>(channels);
  for_vectors(channels, [&](int64_t c, int n) {
    store_partial(dgamma + c, Vec{}, n);
    store_partial(dbeta + c, Vec{}, n);
  });
  for (int64_t r = 0; r < rows; ++r, dy += channels, x += channels, dx += channels) {
    Vec sum{}, product{};
    for_vectors(channels, [&](int64_t c, int n) {
      Vec gradient = load_partial(dy + c, n);
      Vec normal = (load_partial(x + c, n) - mean[r]) * inv_std[r];
      store_partial(dgamma + c, load_partial(dgamma + c, n) + gradient * normal, n);
      store_partial(dbeta + c, load_partial(dbeta + c, n) + gradient, n);
      gradient *= load_partial(gamma + c, n);  // zero in the lanes behind n, whatever `normal` is there
      sum += gradient;
      product += gradient * normal;
    });
    const float shift = sum_of_lanes(sum) * each;
    const float slope = sum_of_lanes(product) * each;
    for_vectors(channels, [&](int64_t c, int n) {
      Vec normal = (load_partial(x + c, n) - mean[r]) * inv_std[r];
      Vec gradient = load_partial(dy + c, n) * load_partial(gamma + c, n);
      store_partial(dx + c, (gradient - shift - normal * slope) * inv_std[r], n);
    });
  }
}

void softmax(const float* z, int64_t rows, int64_t classes, float* p, SoftmaxRow* results) {
  for (int64_t r = 0; r < rows; ++r, z += classes, p += classes) {
    Vec most = broadcast(z[0]);
    for_vectors(classes, [&](int64_t c, int n) {
      Vec v = load_partial(z + c, n);
      v = lane_numbers() < n ? v : most;
      most = v > most ? v : most;
    });
    const float largest = largest_of_lanes(most);
    Vec exponentials{}, differences{};
    for_vectors(classes, [&](int64_t c, int n) {
      Vec difference = load_partial(z + c, n) - largest;
      Vec e = lane_numbers() < n ? exponential(difference) : Vec{};
      differences += lane_numbers() < n ? difference : Vec{};
      exponentials += e;
      store_partial(p + c, e, n);
    });
    const float sum = sum_of_lanes(exponentials);
    const float inverse = 1.0f / sum;
    for_vectors(classes,
                [&](int64_t c, int n) { store_partial(p + c, load_partial(p + c, n) * inverse, n); });
    results[r] = {largest, sum, sum_of_lanes(differences)};
  }
}

void scale_and_shift(const float* x, int64_t count, float scale, float shift, float* y) {
  for_vectors(count,
              [&](int64_t i, int n) { store_partial(y + i, load_partial(x + i, n) * scale + shift, n); });
}

}  // namespace TRIREME_KERNEL_SPACE
