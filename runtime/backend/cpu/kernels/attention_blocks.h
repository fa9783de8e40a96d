// What both directions of the attention share: a head in float32 scratch, and its dropout. Only for the .cpp
// files of this folder.
//
// A head's rows are padded with zeros to a multiple of 16 rows and 16 channels, so that products need no
// partial panels or vectors: a padded channel adds nothing, a padded key is masked, a padded query is never
// given back.
#pragma once

#include "backend/cpu/kernels/half.h"
#include "backend/cpu/kernels/products.h"

namespace TRIREME_KERNEL_SPACE {

// Queries and keys that are looked at together; a multiple of panel_rows and of 4 * lanes, the draws of one
// call.
inline constexpr int64_t block = attention_block;
static_assert(block % (4 * lanes) == 0 && block % panel_rows == 0);

static inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// to[r][c] = from[r][c] * factor for `rows` rows of `size` values; the padding around them becomes zero.
template <class Source>
static inline void pack_rows(const Source* from, int64_t from_row, int64_t rows, int64_t size, float factor,
                             float* to, int64_t to_rows, int64_t to_row) {
  for (int64_t r = 0; r < rows; ++r, from += from_row, to += to_row) {
    int64_t c = 0;
    for (; c + lanes <= size; c += lanes) store(to + c, load_whole(from + c) * factor);
    if (c < size) {
      store(to + c, load_partial(from + c, static_cast<int>(size - c)) * factor);
      c += lanes;
    }
    for (; c < to_row; c += lanes) store(to + c, Vec{});
  }
  for (int64_t i = 0; i < (to_rows - rows) * to_row; i += lanes) store(to + i, Vec{});
}

// The reverse, without the padding.
template <class Target>
static inline void unpack_rows(const float* from, int64_t from_row, int64_t rows, int64_t size, float factor,
                               Target* to, int64_t to_row) {
  for (int64_t r = 0; r < rows; ++r, from += from_row, to += to_row) {
    int64_t c = 0;
    for (; c + lanes <= size; c += lanes) store_whole(to + c, load(from + c) * factor);
    if (c < size) store_partial(to + c, load(from + c) * factor, static_cast<int>(size - c));
  }
}

// Brings rows `first` to `first + panel_rows` of a tensor's columns from `offset` on, as far as the head has
// them, towards the second-level cache: rows lie far apart, and the processor's own prefetchers do not follow
// them.
static inline void prefetch_panel(const void* tensor, ElementType type, int64_t offset, int64_t row,
                                  int64_t first, int64_t length, int64_t size) {
  if (tensor == nullptr) return;
  const int64_t element = type == ElementType::float32 ? 4 : 2;
  for (int64_t r = first; r < first + panel_rows && r < length; ++r) {
    const char* p = static_cast<const char*>(tensor) + (offset + r * row) * element;
    for (int64_t byte = 0; byte < size * element; byte += 64) __builtin_prefetch(p + byte, 0, 2);
    __builtin_prefetch(p + size * element - 1, 0, 2);
  }
}

static inline void clear(float* p, int64_t count) {
  for (int64_t i = 0; i < count; i += lanes) store(p + i, Vec{});
}

// The dropout's factors (0, or 1 / (1 - rate)) of `block` keys from `key` on, as `query` looks at them.
static inline void draw_factors(const AttentionDropout& d, int64_t length, int64_t query, int64_t key,
                                float* factors) {
  int64_t blocks_of_row = (length + 3) / 4;
  const Vec kept = broadcast(1.0f / (1.0f - d.rate));
  for (int64_t c = 0; c < block; c += 4 * lanes) {
    auto counter = static_cast<uint32_t>((d.first_row + query) * blocks_of_row + (key + c) / 4);
    draw_uniforms(counter, d.sample, d.step, d.layer, d.key0, d.key1, [&](int part, Vec uniform) {
      store(factors + c + part * lanes, uniform >= broadcast(d.rate) ? kept : Vec{});
    });
  }
}

// Keys that a query sees in the block from `key` on.
static inline int64_t keys_seen(bool causal, int64_t length, int64_t query, int64_t key) {
  return smaller((causal ? query + 1 : length) - key, block);
}

}  // namespace TRIREME_KERNEL_SPACE
