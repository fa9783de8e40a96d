// Counter-based uniform draws in vectors: Philox4x32-10, the same numbers as base/rng.h. Only for the .cpp
// files of this folder.
#pragma once

#include "backend/cpu/kernels/vector.h"

namespace TRIREME_KERNEL_SPACE {

typedef uint32_t WordVec __attribute__((vector_size(TRIREME_LANES * 4)));
typedef uint64_t WideVec __attribute__((vector_size(TRIREME_LANES * 8)));

// High and low words of the products of two 32-bit vectors: even and odd lanes by themselves, then merged.
static inline void multiply(WordVec a, uint32_t b, WordVec& high, WordVec& low) {
#if TRIREME_LANES == 16
  auto words = reinterpret_cast<__m512i>(a);
  __m512i factor = _mm512_set1_epi64(b);
  __m512i even = _mm512_mul_epu32(words, factor);
  __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(words, 32), factor);
  high = reinterpret_cast<WordVec>(_mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xAAAA, odd));
  low = reinterpret_cast<WordVec>(_mm512_mask_mov_epi32(even, 0xAAAA, _mm512_slli_epi64(odd, 32)));
#elif TRIREME_LANES == 8
  auto words = reinterpret_cast<__m256i>(a);
  __m256i factor = _mm256_set1_epi64x(b);
  __m256i even = _mm256_mul_epu32(words, factor);
  __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(words, 32), factor);
  high = reinterpret_cast<WordVec>(_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA));
  low = reinterpret_cast<WordVec>(_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA));
#else
  WideVec product = __builtin_convertvector(a, WideVec) * static_cast<uint64_t>(b);
  low = a * b;
  high = __builtin_convertvector(product >> 32, WordVec);
#endif
}

// Lanes taken from a and b in turn, starting with lane `first` of each.
template <int first, class V>
static inline V zip(V a, V b) {
  WordVec order{};
  for (int i = 0; i < lanes; ++i) order[i] = static_cast<uint32_t>(first + i / 2 + (i % 2) * lanes);
  return __builtin_shuffle(a, b, order);
}

// Calls body(part, uniforms) for parts 0 to 3: `uniforms` are lanes values in [0, 1), together those of the
// elements 4 * block .. 4 * (block + lanes) - 1 of the stream of key (key0, key1) and counter words c1, c2,
// c3. Lane i draws the block of counter block + i: four elements a lane, in order after interleaving.
template <class Body>
static inline void draw_uniforms(uint32_t block, uint32_t word1, uint32_t word2, uint32_t word3,
                                 uint32_t key0, uint32_t key1, const Body& body) {
  WordVec lane{};
  for (int i = 0; i < lanes; ++i) lane[i] = static_cast<uint32_t>(i);
  WordVec c0 = lane + block;
  WordVec c1 = WordVec{} + word1;
  WordVec c2 = WordVec{} + word2;
  WordVec c3 = WordVec{} + word3;
  for (int round = 0; round < 10; ++round) {
    WordVec high0, low0, high1, low1;
    multiply(c0, 0xD2511F53u, high0, low0);
    multiply(c2, 0xCD9E8D57u, high1, low1);
    c0 = high1 ^ c1 ^ key0;
    c2 = high0 ^ c3 ^ key1;
    c1 = low1;
    c3 = low0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  constexpr int half = lanes / 2;
  WordVec even_low = zip<0>(c0, c2);
  WordVec even_high = zip<half>(c0, c2);
  WordVec odd_low = zip<0>(c1, c3);
  WordVec odd_high = zip<half>(c1, c3);
  auto uniform = [](WordVec words) {
    return __builtin_convertvector(reinterpret_cast<IntVec>(words >> 8), Vec) * 0x1p-24f;
  };
  body(0, uniform(zip<0>(even_low, odd_low)));
  body(1, uniform(zip<half>(even_low, odd_low)));
  body(2, uniform(zip<0>(even_high, odd_high)));
  body(3, uniform(zip<half>(even_high, odd_high)));
}

}  // namespace TRIREME_KERNEL_SPACE
