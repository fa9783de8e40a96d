// Collectives over a fixed group of ranks. Backends: self (one rank, no MPI), threads (ranks as threads of
// one process, for tests and in-process trials), mpi, shared_memory (ranks of one node), hierarchical (shared
// memory inside nodes, MPI between them). A communicator is owned by main's stack (or a test's) and destroyed
// before MPI_Finalize. It knows ranges of memory and nothing of models.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/buffer.h"
#include "base/dtype.h"
#include "comm/activity.h"

namespace trireme {

enum class ReduceOp { sum, average, max };

// All calls are collective and blocking: every rank of the group calls them in the same order with the same
// count, bounds, type, operation and root, one thread at a time. Errors are CommError naming rank, host and
// operation.
//
// Sums have one order for a given number of ranks, whatever the backend, the size and the timing: the binary
// tree of reduce.h. So the same inputs give the same bits on all ranks, every time, and with any backend
// whose keeps_tree() is true. Types: all of DType. `average` is the sum divided by the number of ranks
// (integers: towards zero).
class Communicator {
 public:
  explicit Communicator(std::shared_ptr<Activity> activity = std::make_shared<Activity>())
      : activity_(std::move(activity)) {}
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  // "self", "threads", "mpi", "shared_memory", "hierarchical"
  virtual std::string name() const = 0;
  // Whether sums follow the tree over rank numbers. A hierarchical group whose nodes hold unequal numbers of
  // ranks, or a number that is no power of two, or ranks that do not follow each other, has a fixed order of
  // its own instead.
  virtual bool keeps_tree() const { return true; }

  // Collective: zeroed memory of `bytes` on every rank, in which this communicator's collectives are fastest
  // (shared between the ranks of a node where there is such a backend). Any other memory serves too. It may
  // outlive the communicator. Throws CommError when there is no room.
  Buffer allocate(size_t bytes);

  // Every rank ends with the elementwise reduction over all ranks of `send` in `receive`, which are the same
  // memory or do not overlap.
  void all_reduce(const void* send, void* receive, size_t count, DType type, ReduceOp op);
  // In place.
  void all_reduce(void* data, size_t count, DType type, ReduceOp op = ReduceOp::sum) {
    all_reduce(data, data, count, type, op);
  }

  // Block r is elements [bounds[r], bounds[r + 1]); bounds has size() + 1 entries, rising, blocks may be
  // empty. Rank r ends with the reduction over all ranks of block r of `send` in receive[0...]; `receive` may
  // be this rank's own block of `send`, whose other blocks stay as they were.
  void reduce_scatter(const void* send, void* receive, std::span<const size_t> bounds, DType type,
                      ReduceOp op = ReduceOp::sum);
  // Rank r sends as many elements as block r has; every rank ends with all blocks, at their places, in
  // `receive`. `send` may be this rank's own block of `receive`.
  void all_gather(const void* send, void* receive, std::span<const size_t> bounds, DType type);

  // The same for equal blocks of `count` elements. They allocate a little: not for a training step.
  void reduce_scatter(const void* send, void* receive, size_t count, DType type, ReduceOp op = ReduceOp::sum);
  void all_gather(const void* send, size_t count, DType type, void* receive);

  void broadcast(void* data, size_t bytes, int root);
  void barrier();
  // Ranks with equal colour form a new group, ordered by (key, rank). The new group has an Activity of its
  // own.
  std::unique_ptr<Communicator> split(int color, int key);

  // What this rank is doing; collectives write it, and whoever runs the phases between them.
  Activity& activity() { return *activity_; }
  const std::shared_ptr<Activity>& shared_activity() const { return activity_; }

 private:
  // What a backend has to bring. Arguments are as above; counts and bounds of nothing at all come through
  // too.
  virtual Buffer do_allocate(size_t bytes) { return Buffer(bytes); }
  virtual void do_all_reduce(const void* send, void* receive, size_t count, DType type, ReduceOp op) = 0;
  virtual void do_reduce_scatter(const void* send, void* receive, std::span<const size_t> bounds, DType type,
                                 ReduceOp op) = 0;
  virtual void do_all_gather(const void* send, void* receive, std::span<const size_t> bounds, DType type) = 0;
  virtual void do_broadcast(void* data, size_t bytes, int root) = 0;
  virtual void do_barrier() = 0;
  virtual std::unique_ptr<Communicator> do_split(int color, int key) = 0;

  std::shared_ptr<Activity> activity_;
};

// A group of one: every collective is the identity.
std::unique_ptr<Communicator> make_self_communicator();

}  // namespace trireme
