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

// Philox4x32-10: the counters (words 0 to 3 of a lane) become the lane's four words of the stream of the key.
static inline void scramble(WordVec (&words)[4], uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    WordVec high0, low0, high1, low1;
    multiply(words[0], 0xD2511F53u, high0, low0);
    multiply(words[2], 0xCD9E8D57u, high1, low1);
    words[0] = high1 ^ words[1] ^ key0;
    words[2] = high0 ^ words[3] ^ key1;
    words[1] = low1;
    words[3] = low0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

// Words as values in [0, 1).
static inline Vec uniform_of(WordVec words) {
  return __builtin_convertvector(reinterpret_cast<IntVec>(words >> 8), Vec) * 0x1p-24f;
}

static inline WordVec word_numbers() {
  WordVec lane{};
  for (int i = 0; i < lanes; ++i) lane[i] = static_cast<uint32_t>(i);
  return lane;
}

// Calls body(part, uniforms) for parts 0 to 3: `uniforms` are lanes values in [0, 1), together those of the
// elements 4 * block .. 4 * (block + lanes) - 1 of the stream of key (key0, key1) and counter words c1, c2,
// c3. Lane i draws the block of counter block + i: four elements a lane, in order after interleaving.
template <class Body>
static inline void draw_uniforms(uint32_t block, uint32_t word1, uint32_t word2, uint32_t word3,
                                 uint32_t key0, uint32_t key1, const Body& body) {
  WordVec words[4] = {word_numbers() + block, WordVec{} + word1, WordVec{} + word2, WordVec{} + word3};
  scramble(words, key0, key1);
  constexpr int half = lanes / 2;
  WordVec even_low = zip<0>(words[0], words[2]);
  WordVec even_high = zip<half>(words[0], words[2]);
  WordVec odd_low = zip<0>(words[1], words[3]);
  WordVec odd_high = zip<half>(words[1], words[3]);
  body(0, uniform_of(zip<0>(even_low, odd_low)));
  body(1, uniform_of(zip<half>(even_low, odd_low)));
  body(2, uniform_of(zip<0>(even_high, odd_high)));
  body(3, uniform_of(zip<half>(even_high, odd_high)));
}

}  // namespace TRIREME_KERNEL_SPACE
