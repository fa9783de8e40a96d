// Attention of one head on the matrix units: what kernels/attention_task.h asks for, float32 by numbers split
// into three planes, bfloat16 by single products whose sums are float32 (as matrix products of bfloat16 are).
#pragma once

#include <cstdint>

#include "backend/cpu/kernels/attention_task.h"
#include "backend/cpu/split/kernels.h"

namespace trireme::cpu::split {

// Whether heads of this size and type are faster here than by kernels/attention.cpp (bench_ops): blocks of
// 32 x 32 of which little is used are not. float16 has no unit.
constexpr bool takes_attention(ElementType type, int64_t length, int64_t head_size) {
  return type != ElementType::float16 && length >= block && head_size >= block / 2;
}

// Floats of scratch that a call needs.
constexpr int64_t attention_scratch(int64_t length, int64_t head_size) {
  int64_t rows = blocks_of(length), size = blocks_of(head_size);
  int64_t split_blocks = 2 * rows * size + 2 * size + rows;
  return (planes * split_blocks + 1) / 2 * block * block + (rows + 1) * block * block;
}
// Queries whose probabilities of 32 keys the backward keeps at a time, in blocks.
inline constexpr int64_t attention_chunk = 8;
constexpr int64_t attention_backward_scratch(int64_t length, int64_t head_size) {
  int64_t rows = blocks_of(length), size = blocks_of(head_size);
  int64_t split_blocks = 7 * rows * size + size + 3 * attention_chunk;
  return (planes * split_blocks + 1) / 2 * block * block + (rows * size + 2 * size + 2) * block * block +
         2 * rows * block;
}

// Only where matrix_units() and takes_attention() say so.
void attention(const AttentionTask&);
void attention_backward(const AttentionBackwardTask&);

}  // namespace trireme::cpu::split
