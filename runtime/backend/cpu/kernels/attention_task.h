// What a call of the attention kernels is given: one head of one sample.
#pragma once

#include <cstdint>

namespace trireme::cpu {

enum class ElementType : uint8_t { float32, bfloat16, float16 };

// Dropout on probabilities; the draws are told in ops/attention.h.
struct AttentionDropout {
  float rate;  // 0: none
  uint32_t key0, key1, sample, step, layer;
  int64_t first_row;  // head * length
};

// Queries and keys that the kernels look at together, and the multiple to which they pad rows and channels.
inline constexpr int64_t attention_block = 64;
inline constexpr int64_t attention_padding = 16;

// The first element of each tensor is that of the sample's first row in the head; rows of qkv and dqkv are
// 3 * channels apart, those of y and dy channels.
struct AttentionTask {
  const void* qkv;
  void* y;
  float* logsumexp;  // [length]
  float* scratch;    // attention_scratch floats, aligned to 64 bytes
  const void*
      next_qkv;  // of the head that the thread turns to next, fetched into the cache meanwhile; or null
  int64_t length, head_size, channels;
  float scale;  // of the scores
  bool causal;
  ElementType type;  // of all but logsumexp
  AttentionDropout dropout;
};

struct AttentionBackwardTask {
  const void* dy;
  const void* qkv;
  const void* y;
  const float* logsumexp;
  void* dqkv;
  float* scratch;       // attention_backward_scratch floats, aligned to 64 bytes
  const void* next_dy;  // of the head that the thread turns to next, as above
  const void* next_qkv;
  const void* next_y;
  int64_t length, head_size, channels;
  float scale;
  bool causal;
  ElementType type;
  AttentionDropout dropout;
};

// Floats of scratch that a call needs.
constexpr int64_t attention_padded(int64_t n) {
  return (n + attention_padding - 1) / attention_padding * attention_padding;
}
constexpr int64_t attention_scratch(int64_t length, int64_t head_size) {
  int64_t rows = attention_padded(length), size = attention_padded(head_size);
  return 2 * (rows + attention_block) * size + attention_block * (attention_block + 1);
}
constexpr int64_t attention_backward_scratch(int64_t length, int64_t head_size) {
  int64_t rows = attention_padded(length), size = attention_padded(head_size);
  return 8 * rows * size + attention_block * (2 * attention_block + 1);
}

}  // namespace trireme::cpu
