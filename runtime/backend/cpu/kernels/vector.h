// A float vector of TRIREME_LANES lanes (GCC's vector extension) with whole and partial loads and stores. Only for
// the .cpp files of this folder, which are compiled once per instruction set.
#pragma once

#include <cstdint>

#ifndef TRIREME_ISA  // the build sets both (backend.cmake); this is for tools that read one file by itself
#define TRIREME_ISA plain
#define TRIREME_LANES 4
#endif
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

// The first `count` lanes as bytes, and back (other lanes zero).
typedef uint8_t ByteVec __attribute__((vector_size(TRIREME_LANES)));

static inline void store_bytes(uint8_t* p, IntVec v, int count) {
  ByteVec bytes = __builtin_convertvector(v, ByteVec);
#if TRIREME_LANES == 16
  _mm_mask_storeu_epi8(p, static_cast<__mmask16>((1u << count) - 1u), reinterpret_cast<__m128i>(bytes));
#else
  for (int i = 0; i < count; ++i) p[i] = bytes[i];
#endif
}

static inline IntVec load_bytes(const uint8_t* p, int count) {
#if TRIREME_LANES == 16
  __m128i bytes = _mm_maskz_loadu_epi8(static_cast<__mmask16>((1u << count) - 1u), p);
  return reinterpret_cast<IntVec>(_mm512_cvtepu8_epi32(bytes));
#else
  ByteVec bytes{};
  for (int i = 0; i < count; ++i) bytes[i] = p[i];
  return __builtin_convertvector(bytes, IntVec);
#endif
}

// max(v, 0) lane by lane; NaN stays NaN as in the reference (v < 0 ? 0 : v).
static inline Vec rectify(Vec v) { return v < Vec{} ? Vec{} : v; }

}  // namespace TRIREME_KERNEL_SPACE
