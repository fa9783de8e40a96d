// Exponentials, and what is made of them, on vectors. Only for the .cpp files of this folder.
#pragma once

#include "backend/cpu/kernels/vector.h"

namespace TRIREME_KERNEL_SPACE {

// All lanes alike. (Vec{} + x would cost an addition: it is not x for x = -0.)
static inline Vec broadcast(float x) { return x - Vec{}; }

// exp(x) to 2 ulp for x <= 88; below -87.3, where results are denormal, 0; above 88 it stays at exp(88). NaN
// stays NaN. Cody and Waite's reduction to |r| <= ln(2) / 2 and the polynomial of Moshier's Cephes library.
static inline Vec exponential(Vec x) {
  Vec bounded = x > 88.0f ? broadcast(88.0f) : x;
  Vec shifted = bounded * 1.44269504f + 12582912.0f;  // adding 1.5 * 2^23 rounds to the nearest integer
  Vec n = shifted - 12582912.0f;
  Vec r = bounded - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  Vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  IntVec power = (reinterpret_cast<IntVec>(shifted) + 127)
                 << 23;  // what lies above the low bits is shifted out
  return x < -87.3f ? Vec{} : p * reinterpret_cast<Vec>(power);
}

// The normal distribution beyond |x| (the probability of a draw above it), absolutely to 6e-8 and in the tail
// better, and `density` = exp(-x^2 / 2). With t = 1 / (1 + 0.33 |x|), a polynomial in t times the density;
// its coefficients minimise the largest error times exp(-x^2 / 4) on [0, 6]; after Abramowitz and
// Stegun, 26.2.17.
static inline Vec normal_tail(Vec x, Vec& density) {
  density = exponential(x * x * -0.5f);
  Vec t = 1.0f / ((x < Vec{} ? -x : x) * 0.33f + 1.0f);
  Vec p = t * 0.04549176789f - 0.22036543849f;
  p = p * t + 0.33089008037f;
  p = p * t - 0.08903972823f;
  p = p * t + 0.18095035776f;
  p = p * t + 0.11945177340f;
  p = p * t + 0.13262119143f;
  return p * t * density;
}

// 1 / x to 2 ulp, for x >= 1. A division takes as long as eight other instructions where vectors are wide.
static inline Vec reciprocal(Vec x) {
#if TRIREME_LANES == 16
  auto y = reinterpret_cast<Vec>(_mm512_rcp14_ps(reinterpret_cast<__m512>(x)));
  return y * (2.0f - x * y);  // one step of Newton's method: 14 bits become 28
#else
  return 1.0f / x;
#endif
}

static inline Vec sigmoid(Vec x) { return reciprocal(1.0f + exponential(-x)); }

// By exp(-2 |x|), which is at most 1: off by 1e-7 at the most.
static inline Vec tangent(Vec x) {
  Vec e = exponential((x < Vec{} ? x : -x) * 2.0f);
  Vec y = (1.0f - e) * reciprocal(1.0f + e);
  return x < Vec{} ? -y : y;
}

// Vectors of lane numbers, and sums and maxima over lanes.
static inline IntVec lane_numbers() {
  IntVec lane{};
  for (int i = 0; i < lanes; ++i) lane[i] = i;
  return lane;
}

static inline float sum_of_lanes(Vec v) {
  for (int half = lanes / 2; half > 0; half /= 2) v += __builtin_shuffle(v, lane_numbers() ^ half);
  return v[0];
}

// NaN counts for nothing.
static inline float largest_of_lanes(Vec v) {
  for (int half = lanes / 2; half > 0; half /= 2) {
    Vec other = __builtin_shuffle(v, lane_numbers() ^ half);
    v = other > v ? other : v;
  }
  return v[0];
}

}  // namespace TRIREME_KERNEL_SPACE
