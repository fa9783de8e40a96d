// How what ranks hold is added up: the one order that all backends keep, and the loops that do it.
#pragma once

#include <cstddef>
#include <span>

#include "comm/communicator.h"

namespace trireme {

// The order of a sum over n ranks is a binary tree that depends on n alone:
//
//   tree(first, last) = value(first)                              where last - first == 1
//                     = tree(first, middle) + tree(middle, last)  else, middle = first + the largest power of
//                     two
//                                                                 below last - first
//
// It is the binomial tree of reductions over messages (rank r with bit k set sends to r - 2^k in round k),
// and since addition is commutative also what recursive doubling and recursive halving by distances 1, 2, 4,
// ... compute. A group of V parts, V and p powers of two, can be summed by p ranks of V / p parts each: the
// same tree. bfloat16 and float16: each addition is done in float32 and rounded.

// out[i] = tree over r of parts[r][i]; `average` divides the result. `out` may be one of the parts.
void reduce_parts(std::span<const void* const> parts, void* out, size_t count, DType type, ReduceOp op);

// The same into several outputs in one pass, each of which may be one of the parts: outs[k][i] = tree over r
// of parts[r][i].
void reduce_parts(std::span<const void* const> parts, std::span<void* const> outs, size_t count, DType type,
                  ReduceOp op);

// One node of the tree: out[i] = left[i] op right[i] (average adds). `out` may be either.
void combine(const void* left, const void* right, void* out, size_t count, DType type, ReduceOp op);

// The end of an average: data[i] = data[i] / ranks.
void divide(void* data, size_t count, DType type, int ranks);

}  // namespace trireme
