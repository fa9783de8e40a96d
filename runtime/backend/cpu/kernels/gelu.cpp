// GELU (ops/gelu.cpp): by erf, or by tanh.
#include "backend/cpu/kernels/functions.h"
#include "backend/cpu/kernels/half.h"
#include "backend/cpu/kernels/set.h"

namespace TRIREME_KERNEL_SPACE {
namespace {

// Calls body(first element, lanes valid) for each vector of a row.
template <class Body>
inline void for_vectors(int64_t count, const Body& body) {
  int64_t c = 0;
  for (; c + lanes <= count; c += lanes) body(c, lanes);
  if (c < count) body(c, static_cast<int>(count - c));
}

#if TRIREME_LANES == 16
// For x = -a the function and its slope by polynomials of pieces of a, looked up in registers. Of the normal
// distribution Q(a) = P(X > a), gelu(-a) = -a Q(a), and its slope there is D(a) = Q(a) - a phi(a); for x = a
// they are a (1 - Q(a)) and 1 - D(a). Piece i is centred on i * width; behind the last both are 0, with an
// error of 2e-8.
constexpr int pieces = 32, degree = 4;
constexpr double width = 0.19;
constexpr float behind = static_cast<float>((pieces - 0.5) * width);

// Coefficient k of every piece, in f = a / width - i, which lies in [-1/2, 1/2].
struct alignas(64) Pieces {
  float of[degree + 1][pieces];
};

constexpr double exponential_of_negative(double x) {
  double sum = 1, term = 1;
  for (int k = 1; k < 100; ++k) sum += term *= x / k;
  return 1 / sum;
}

// Taylor series of Q or D up to degree 7, from the Hermite polynomials He_k: the k-th derivative of phi is
// (-1)^k He_k phi, that of Q minus the one before, and D = Q + phi'. Then the powers above `degree` are
// replaced by what Chebyshev's polynomials of 2 f leave of them (Lanczos): absolutely to 1e-8.
constexpr Pieces make_pieces(bool of_slope) {
  Pieces made{};
  for (int i = 0; i < pieces; ++i) {
    double a = i * width, density = 0.3989422804014327 * exponential_of_negative(a * a / 2);
    double below = 0, odd = a;  // Q = 1/2 - phi (a + a^3 / 3 + a^5 / (3 5) + ...)
    for (int k = 1; k < 300; k += 2) {
      below += odd;
      odd *= a * a / (k + 2);
    }
    double derivatives[9] = {};  // of phi
    double before = 0, hermite = 1;
    for (int k = 0; k < 9; ++k) {
      derivatives[k] = (k % 2 == 0 ? 1 : -1) * hermite * density;
      double next = a * hermite - k * before;
      before = hermite;
      hermite = next;
    }
    double c[8] = {}, power = 1;
    for (int k = 0; k < 8; ++k) {
      double value = k == 0 ? 0.5 - density * below : -derivatives[k - 1];
      if (of_slope) value += derivatives[k + 1];
      c[k] = value * power;
      power *= width / (k + 1);
    }
    // In powers of u = 2 f, in [-1, 1]: u^7 is T_7 / 64 + (112 u^5 - 56 u^3 + 7 u) / 64, and so on.
    for (int k = 0; k < 8; ++k) {
      for (int j = 0; j < k; ++j) c[k] /= 2;
    }
    c[5] += c[7] * 112 / 64, c[3] -= c[7] * 56 / 64, c[1] += c[7] * 7 / 64;
    c[4] += c[6] * 48 / 32, c[2] -= c[6] * 18 / 32, c[0] += c[6] * 1 / 32;
    c[3] += c[5] * 20 / 16, c[1] -= c[5] * 5 / 16;
    for (int k = 0; k <= degree; ++k) {
      for (int j = 0; j < k; ++j) c[k] *= 2;
      made.of[k][i] = static_cast<float>(c[k]);
    }
  }
  return made;
}
constexpr Pieces of_tail = make_pieces(false), of_slope = make_pieces(true);

// Q or D of |x| for negative x, 1 - that for the others; nan of nan.
inline Vec by_pieces(const Pieces& table, Vec x) {
  __m512 a = _mm512_abs_ps(x);
  constexpr float rounding = 12582912.0f;  // adding 1.5 * 2^23 rounds to the nearest integer
  const Vec each = broadcast(static_cast<float>(1 / width));
  __m512 shifted = _mm512_fmadd_ps(a, each, broadcast(rounding));
  __m512 f = _mm512_fmsub_ps(a, each, shifted - rounding);
  const __m512i i = _mm512_castps_si512(shifted);  // the low bits count
  Vec p = {};
  for (int k = degree; k >= 0; --k) {
    Vec c = _mm512_permutex2var_ps(_mm512_load_ps(table.of[k]), i, _mm512_load_ps(table.of[k] + lanes));
    p = p * f + c;
  }
  p = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, broadcast(behind), _CMP_NGE_UQ), p);  // nan is not behind
  return x < Vec{} ? p : 1.0f - p;
}

inline Vec value_by_erf(Vec x) { return x * by_pieces(of_tail, x); }
inline Vec slope_by_erf(Vec x) { return by_pieces(of_slope, x); }
#else
inline Vec below(Vec x, Vec& density) {
  Vec tail = normal_tail(x, density);
  return x < Vec{} ? tail : 1.0f - tail;
}
inline Vec value_by_erf(Vec x) {
  Vec density;
  return x * below(x, density);
}
inline Vec slope_by_erf(Vec x) {
  Vec density, probability = below(x, density);
  return probability + x * density * 0.39894228040f;
}
#endif

// s = 0.5 (1 + tanh(u)) = 1 / (1 + exp(-2 u)), whose slope by u is 2 s (1 - s), with 1 - s = exp(-2 u) s.
inline Vec argument_of_tanh(Vec x) { return x * 0.79788456080f * (x * x * 0.044715f + 1.0f); }
inline Vec value_by_tanh(Vec x) { return x / (1.0f + exponential(argument_of_tanh(x) * -2.0f)); }
inline Vec slope_by_tanh(Vec x) {
  Vec e = exponential(argument_of_tanh(x) * -2.0f);
  Vec s = 1.0f / (1.0f + e);
  Vec du = (x * x * 0.134145f + 1.0f) * 0.79788456080f;
  return s + x * 2.0f * (s * (e * s)) * du;
}

template <class T, class Body>
void for_each_element(const T* x, T* y, int64_t count, const Body& body) {
  for_vectors(count, [&](int64_t i, int n) { store_partial(y + i, body(load_partial(x + i, n), i, n), n); });
}

}  // namespace

void gelu(ElementType type, const void* x, void* y, int64_t count, bool by_tanh) {
  with_type(type, x, [=](auto* from) {
    auto* to = same_type(from, y);
    if (by_tanh) {
      for_each_element(from, to, count, [](Vec v, int64_t, int) { return value_by_tanh(v); });
    } else {
      for_each_element(from, to, count, [](Vec v, int64_t, int) { return value_by_erf(v); });
    }
  });
}

void gelu_backward(ElementType type, const void* dy, const void* x, void* dx, int64_t count, bool by_tanh) {
  with_type(type, x, [=](auto* from) {
    auto* gradient = same_type(from, dy);
    auto* to = same_type(from, dx);
    if (by_tanh) {
      for_each_element(from, to, count, [=](Vec v, int64_t i, int n) {
        return slope_by_tanh(v) * load_partial(gradient + i, n);
      });
    } else {
      for_each_element(from, to, count, [=](Vec v, int64_t i, int n) {
        return slope_by_erf(v) * load_partial(gradient + i, n);
      });
    }
  });
}

}  // namespace TRIREME_KERNEL_SPACE
