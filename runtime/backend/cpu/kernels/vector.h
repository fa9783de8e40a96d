// A float vector of TRIREME_LANES lanes (GCC's vector extension) with whole and partial loads and stores. Only for
// the .cpp files of this folder, which are compiled once per instruction set.
#pragma once

#include <cstdint>
#if TRIREME_LANES > 4
#include <immintrin.h>
#endif

#define TRIREME_KERNEL_SPACE trireme::cpu::TRIREME_ISA

namespace TRIREME_KERNEL_SPACE {

inline constexpr int lanes = TRIREME_LANES;
typedef float Vec __attribute__((vector_size(TRIREME_LANES * 4)));
typedef int32_t IntVec __attribute__((vector_size(TRIREME_LANES * 4)));
typedef Vec UnalignedVec __attribute__((aligned(4), may_alias));

static inline Vec load(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
static inline void store(float* p, Vec v) { *reinterpret_cast<UnalignedVec*>(p) = v; }

// The first `count` lanes (1 <= count <= lanes); the others are zero, and memory behind them is not touched.
static inline Vec load_partial(const float* p, int count) {
#if TRIREME_LANES == 16
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1u), p);
#elif TRIREME_LANES == 8
  IntVec lane = {0, 1, 2, 3, 4, 5, 6, 7};
  return _mm256_maskload_ps(p, reinterpret_cast<__m256i>(lane < count));
#else
  Vec v{};
  for (int i = 0; i < count; ++i) v[i] = p[i];
  return v;
#endif
}

static inline void store_partial(float* p, Vec v, int count) {
#if TRIREME_LANES == 16
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1u), v);
#elif TRIREME_LANES == 8
  IntVec lane = {0, 1, 2, 3, 4, 5, 6, 7};
  _mm256_maskstore_ps(p, reinterpret_cast<__m256i>(lane < count), v);
#else
  for (int i = 0; i < count; ++i) p[i] = v[i];
#endif
}

// max(v, 0) lane by lane; NaN stays NaN as in the reference (v < 0 ? 0 : v).
static inline Vec rectify(Vec v) { return v < Vec{} ? Vec{} : v; }

}  // namespace TRIREME_KERNEL_SPACE
