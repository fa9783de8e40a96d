// Rows of 16-bit values taken as float vectors and given back, rounded to nearest even. The types of
// base/half.h may not be used here: their inline functions would be compiled for an instruction set of ours.
// Only for the .cpp files of this folder.
#pragma once

#include "backend/cpu/kernels/draws.h"
#include "backend/cpu/kernels/kernels.h"

namespace TRIREME_KERNEL_SPACE {

struct Bfloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};
typedef uint16_t HalfVec __attribute__((vector_size(TRIREME_LANES * 2)));

static inline WordVec load_words(const uint16_t* p, int count) {
#if TRIREME_LANES == 16
  return reinterpret_cast<WordVec>(
      _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << count) - 1u), p)));
#else
  HalfVec words{};
  if (count == lanes) {
    __builtin_memcpy(&words, p, sizeof words);
  } else {
    for (int i = 0; i < count; ++i) words[i] = p[i];
  }
  return __builtin_convertvector(words, WordVec);
#endif
}

static inline void store_words(uint16_t* p, WordVec v, int count) {
  HalfVec words = __builtin_convertvector(v, HalfVec);
#if TRIREME_LANES == 16
  _mm256_mask_storeu_epi16(p, static_cast<__mmask16>((1u << count) - 1u), reinterpret_cast<__m256i>(words));
#else
  for (int i = 0; i < count; ++i) p[i] = words[i];
#endif
}

static inline Vec load_partial(const Bfloat16* p, int count) {
  return reinterpret_cast<Vec>(load_words(&p->bits, count) << 16);
}

static inline void store_partial(Bfloat16* p, Vec v, int count) {
#if TRIREME_LANES == 16
  // Half of the instructions of what stands below.
  alignas(64) static constexpr uint16_t upper[32] = {1,  3,  5,  7,  9,  11, 13, 15,
                                                     17, 19, 21, 23, 25, 27, 29, 31};
  const __m512i words = _mm512_castps_si512(v), one = _mm512_set1_epi32(1);
  __mmask16 odd = _mm512_test_epi32_mask(words, _mm512_set1_epi32(0x10000));
  __m512i result = _mm512_add_epi32(words, _mm512_set1_epi32(0x7fff));
  result = _mm512_mask_add_epi32(result, odd, result, one);
  __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  result = _mm512_mask_or_epi32(result, nan, words, _mm512_set1_epi32(0x400000));
  __m256i halves = _mm512_castsi512_si256(_mm512_permutexvar_epi16(_mm512_load_si512(upper), result));
  if (count == lanes) {
    _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(p), halves);
  } else {
    _mm256_mask_storeu_epi16(p, static_cast<__mmask16>((1u << count) - 1u), halves);
  }
#else
  auto bits = reinterpret_cast<WordVec>(v);
  WordVec rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  store_words(&p->bits, v == v ? rounded : ((bits >> 16) | 0x40u), count);
#endif
}

// Value by value the same as base/half.h, denormals included.
static inline Vec load_partial(const Float16* p, int count) {
  WordVec half = load_words(&p->bits, count);
  WordVec sign = (half & 0x8000u) << 16;
  WordVec magnitude = half & 0x7fffu;
  WordVec normal = (magnitude << 13) + 0x38000000u;
  WordVec infinite = ((magnitude & 0x3ffu) << 13) | 0x7f800000u;
  auto small = __builtin_convertvector(reinterpret_cast<IntVec>(magnitude), Vec) * 0x1p-24f;
  WordVec wide = magnitude >= 0x7c00u  ? infinite
                 : magnitude >= 0x400u ? normal
                                       : reinterpret_cast<WordVec>(small);
  return reinterpret_cast<Vec>(wide | sign);
}

static inline void store_partial(Float16* p, Vec v, int count) {
  auto bits = reinterpret_cast<WordVec>(v);
  WordVec sign = (bits >> 16) & 0x8000u;
  WordVec magnitude = bits & 0x7fffffffu;
  WordVec normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13;
  Vec lined = reinterpret_cast<Vec>(magnitude) + 0.5f;  // lines the fraction up and rounds it
  WordVec small = reinterpret_cast<WordVec>(lined) - 0x3f000000u;
  WordVec half = magnitude >= 0x477ff000u ? WordVec{} + 0x7c00u : magnitude >= 0x38800000u ? normal : small;
  half = magnitude > 0x7f800000u ? WordVec{} + 0x7e00u : half;
  store_words(&p->bits, half | sign, count);
}

// All lanes.
static inline Vec load_whole(const float* p) { return load(p); }
static inline void store_whole(float* p, Vec v) { store(p, v); }
template <class Half>
static inline Vec load_whole(const Half* p) {
  return load_partial(p, lanes);
}
template <class Half>
static inline void store_whole(Half* p, Vec v) {
  store_partial(p, v, lanes);
}

// Whole vectors, as load and store of vector.h.
template <class T>
static inline Vec load(const T* p) {
  return load_partial(p, lanes);
}
template <class T>
static inline void store(T* p, Vec v) {
  store_partial(p, v, lanes);
}

// Calls body(p) with `p` as a pointer to elements of `type`.
template <class Body>
static inline void with_type(ElementType type, const void* p, const Body& body) {
  switch (type) {
    case ElementType::float32:
      return body(static_cast<const float*>(p));
    case ElementType::bfloat16:
      return body(static_cast<const Bfloat16*>(p));
    case ElementType::float16:
      return body(static_cast<const Float16*>(p));
  }
}

// `p` as a pointer to what `like` points to.
template <class T>
static inline const T* same_type(const T*, const void* p) {
  return static_cast<const T*>(p);
}
template <class T>
static inline T* same_type(const T*, void* p) {
  return static_cast<T*>(p);
}

template <class Body>
static inline void with_type(ElementType type, void* p, const Body& body) {
  switch (type) {
    case ElementType::float32:
      return body(static_cast<float*>(p));
    case ElementType::bfloat16:
      return body(static_cast<Bfloat16*>(p));
    case ElementType::float16:
      return body(static_cast<Float16*>(p));
  }
}

}  // namespace TRIREME_KERNEL_SPACE
