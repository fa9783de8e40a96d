// Reductions over MPI messages along the tree of reduce.h. MPI's own leave the order of a sum to the
// library's choice by size and placement, and know no 16-bit types.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "comm/mpi_communicator.h"

namespace trireme {

// The ranks of an MPI communicator as the algorithms see them, with the scratch that they keep from call to
// call.
struct MpiGroup {
  MPI_Comm comm = MPI_COMM_NULL;  // owned by somebody else
  int rank = 0;
  int size = 1;
  MpiTuning tuning = {};
  std::vector<std::byte> scratch = {};  // grows only
  std::vector<MPI_Request> requests = {};
  std::vector<const void*> parts = {};
  std::vector<size_t> bounds = {};
};

// Sums (or maxima) of `data` over all ranks, in place on all; `average` only sums. Algorithms, n bytes, p
// ranks:
// - small n, p a power of two: recursive doubling, log2 p rounds of n bytes;
// - small n, other p: binomial reduction to rank 0 and broadcast, 2 log2 p rounds of n bytes;
// - large n, p a power of two: recursive halving and doubling, 2 log2 p rounds, 2 n (p - 1) / p bytes sent by
// each rank,
//   the least possible; sums of one piece run while the next is on its way;
// - large n, other p: every rank gets its block from all others at once and sums it, then all blocks go to
// all: the same
//   bytes in p - 1 messages each way.
void all_reduce_along_tree(MpiGroup& group, void* data, size_t count, DType type, ReduceOp op);

// Block `rank` of everybody's `send`, summed into `receive`, which may be that block itself: every rank gets
// its block from all others, n (p - 1) / p bytes sent by each rank, and sums it while the rest is on its way.
void reduce_scatter_along_tree(MpiGroup& group, const void* send, void* receive,
                               std::span<const size_t> bounds, DType type, ReduceOp op);

// All blocks to all ranks, in place in `data`.
void all_gather_blocks(MpiGroup& group, void* data, std::span<const size_t> bounds, size_t element_bytes);

}  // namespace trireme
