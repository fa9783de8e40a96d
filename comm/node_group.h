// The ranks of one node and the memory they share: what on-node collectives are built of.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "comm/node_barrier.h"
#include "comm/shared_segment.h"

namespace trireme {

enum class NodeOperation : uint8_t { done, all_reduce, reduce_scatter, all_gather, broadcast, barrier };

// What a rank comes to a meeting with; all must come with the same, but for the memory.
struct NodeWish {
  NodeOperation operation = NodeOperation::done;
  size_t count = 0;
  DType type = DType::uint8;
  ReduceOp op = ReduceOp::sum;
  int root = 0;
  uint64_t detail = 0;  // anything else that must be equal
  bool tells_memory = false;
  const void* send = nullptr;
  size_t send_bytes = 0;
  const void* receive = nullptr;
  size_t receive_bytes = 0;

  // All of it that is a small number.
  uint64_t what() const {
    return static_cast<uint64_t>(operation) | static_cast<uint64_t>(type) << 8 |
           static_cast<uint64_t>(op) << 16 | static_cast<uint64_t>(static_cast<uint32_t>(root)) << 32;
  }
};

// All of it is for one thread at a time, and the same calls on all ranks in the same order. A typical
// collective:
//
//   group.meet({NodeOperation::all_reduce, count, type, op, 0, 0, true, send, bytes, receive, bytes});
//   if (group.all_registered()) ... work on group.send_of(r) and group.receive_of(r), of every rank r ...
//   group.meet({});  // all are done with my memory
//
// The death of a rank is not seen here: the watchdog and the launcher end such a job. A rank that leaves in
// an orderly way (its NodeGroup is destroyed; among ranks of one process, threads, by an exception too) is:
// the others get CommError. A process that leaves by an exception says nothing, since it is about to end the
// job (run_main).
class NodeGroup {
 public:
  // Collective: all ranks of `bootstrap` are on one node, as processes or threads. Memory is made by its help
  // and by no other. Throws CommError (see SharedSegment).
  explicit NodeGroup(std::unique_ptr<Communicator> bootstrap);
  ~NodeGroup();
  NodeGroup(const NodeGroup&) = delete;
  NodeGroup& operator=(const NodeGroup&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  Communicator& bootstrap() { return *bootstrap_; }

  // Collective: zeroed memory that all ranks map ("registered"). Ranks may ask for different sizes. It may
  // outlive the group. May be freed by any thread. Throws CommError.
  Buffer allocate(size_t bytes);

  // Says what this rank wants and waits for everybody to. Throws CommError on every rank when they do not
  // want the same, and when one has left.
  void meet(const NodeWish& wish) {
    agree(wish.what(), wish.count, wish.detail, wish.tells_memory ? &wish : nullptr);
  }

  // Of the last meeting that told memory, until the next one that does: whether all ranks' memory is
  // registered (no bytes count as such), and where that of `rank` lies in this rank's address space (null
  // where it is not registered).
  bool all_registered() const { return all_registered_; }
  const std::byte* send_of(int rank) const { return send_[static_cast<size_t>(rank)]; }
  std::byte* receive_of(int rank) const { return receive_[static_cast<size_t>(rank)]; }
  // The same as arrays, for reduce_parts.
  const std::vector<const std::byte*>& sends() const { return send_; }
  const std::vector<std::byte*>& receives() const { return receive_; }

  // Staging memory: every rank has `staging_slots` pieces of `staging_bytes`, seen by all, for what is not
  // registered. It takes turns by the meetings' number, so that one meeting a piece is enough:
  // a rank writes its slot turn(1), all meet, all read it as turn(0), which nobody overwrites before
  // everybody has come to the meeting after.
  static constexpr uint32_t staging_slots = 4;
  static constexpr size_t staging_bytes = size_t{128} << 10;
  std::byte* staging(int rank, uint32_t turn) const;
  // 0: of the last meeting; 1: of the next; -1: of the one before the last.
  uint32_t turn(int ahead) const { return barrier_->meetings() + static_cast<uint32_t>(ahead); }

 private:
  struct Region;

  struct Place {
    int32_t region;
    uint64_t offset;
  };
  void agree(uint64_t what, uint64_t count, uint64_t detail, const NodeWish* memory);
  Place locate(const void* memory, size_t bytes) const;
  std::byte* address(int rank, int32_t region, uint64_t offset) const;

  std::unique_ptr<Communicator> bootstrap_;
  int rank_;
  int size_;
  bool one_process_;
  int exceptions_at_birth_;
  std::unique_ptr<SharedSegment> control_;
  std::unique_ptr<NodeBarrier> barrier_;
  std::vector<std::shared_ptr<Region>> regions_;
  int32_t next_region_ = 0;
  bool all_registered_ = false;
  std::vector<const std::byte*> send_;
  std::vector<std::byte*> receive_;
};

}  // namespace trireme
