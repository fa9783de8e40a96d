// Collectives over a fixed group of ranks. Backends: self (one rank, no MPI), threads (ranks as threads of one
// process, for tests and in-process trials), mpi. A communicator is owned by main's stack (or a test's) and
// destroyed before MPI_Finalize. It knows ranges of memory and nothing of models.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/dtype.h"

namespace trireme {

enum class ReduceOp { sum, max };

// All calls are collective and blocking: every rank of the group calls them in the same order with the same
// count, type and root. Reductions have a fixed order for a fixed number of ranks, so that the same inputs give
// the same bits every time. Errors are CommError naming rank, host and operation.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  // "self", "threads", "mpi"
  virtual std::string name() const = 0;

  // In place: every rank ends with the elementwise reduction over all ranks. float32, float64, int64.
  virtual void all_reduce(void* data, size_t count, DType type, ReduceOp op = ReduceOp::sum) = 0;
  // Every rank sends `count` elements and receives size() * count, ordered by rank.
  virtual void all_gather(const void* send, size_t count, DType type, void* receive) = 0;
  // Every rank contributes size() * count elements; rank r keeps the reduction of the r-th block of count.
  virtual void reduce_scatter(const void* send, void* receive, size_t count, DType type,
                              ReduceOp op = ReduceOp::sum) = 0;
  virtual void broadcast(void* data, size_t bytes, int root) = 0;
  virtual void barrier() = 0;
  // Ranks with equal colour form a new group, ordered by (key, rank).
  virtual std::unique_ptr<Communicator> split(int color, int key) = 0;
};

// A group of one: every collective is the identity.
std::unique_ptr<Communicator> make_self_communicator();

}  // namespace trireme
