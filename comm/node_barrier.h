// How the ranks of a node wait for each other: flags in shared memory, one writer each.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace trireme {

// What a rank says when it arrives: 48 bytes that travel in the same cache line as its flag.
struct NodePost {
  uint64_t what = 0;   // operation, type, reduction, root
  uint64_t count = 0;  // elements or bytes
  uint64_t detail = 0;
  int32_t send_region = -1;  // where its memory lies, see NodeGroup
  int32_t receive_region = -1;
  uint64_t send_offset = 0;
  uint64_t receive_offset = 0;
};

// One rank's flags, written by it alone (but for the count of sleepers). All zero at the start. Two lines,
// used in turn: what a rank posts for meeting s stays until it comes to meeting s + 2, and it can do so only
// when all have come to s + 1 and so are done with s.
struct NodeFlags {
  struct alignas(128) Line {  // two cache lines: processors fetch them in pairs
    std::atomic<uint32_t> sequence;
    NodePost post;
  };
  Line lines[2];
  struct alignas(128) {
    std::atomic<uint32_t> sleepers;
    std::atomic<uint32_t> left;  // this rank will never come again
  } rare;
};
static_assert(std::atomic<uint32_t>::is_always_lock_free && sizeof(NodeFlags) == 384);

// Meetings of the ranks of one node. A meeting costs each rank one write and one read of each other rank's
// line. A rank that waits polls for 5 us (not when ranks outnumber processors), then polls and yields its
// processor until 150 us have gone, then sleeps in the kernel until the one it waits for wakes it,
// looking up every 2 ms.
class NodeBarrier {
 public:
  // `flags`: one for each rank, in shared memory. `crowded`: ranks outnumber processors.
  NodeBarrier(int rank, std::vector<NodeFlags*> flags, bool crowded);

  // Says `post` and waits for everybody. Returns -1, or the rank of one who has left and never comes.
  int meet(const NodePost& post) {
    arrive(post);
    return wait();
  }
  // What `rank` said at the last meeting. Good until this rank comes to the next one.
  const NodePost& said(int rank) const {
    return flags_[static_cast<size_t>(rank)]->lines[sequence_ % 2].post;
  }
  // The number of meetings so far, alike on all ranks (it wraps).
  uint32_t meetings() const { return sequence_; }
  // This rank never comes again: who waits for it is told so.
  void leave();

 private:
  // Here, so that a post goes from registers into its line, all of it at once: those who poll the line would
  // fetch it half written, and it would have to come back.
  void arrive(const NodePost& post) {
    ++sequence_;
    NodeFlags::Line& line = mine_->lines[sequence_ % 2];
    line.post = post;
    // Nothing waits for flag and post to leave the store buffer: a fence before the look at the sleepers
    // would cost a cache line's way (60 ns) in every meeting. So one who goes to sleep within that time may
    // be overlooked; he looks again by himself after a nap.
    line.sequence.store(sequence_, std::memory_order_release);
    if (mine_->rare.sleepers.load(std::memory_order_relaxed) != 0) [[unlikely]]
      wake_sleepers(line);
  }
  int wait();
  void wake_sleepers(NodeFlags::Line& line);
  bool wait_for(NodeFlags& other);

  std::vector<NodeFlags*> flags_;
  NodeFlags* mine_;
  bool crowded_;
  uint32_t sequence_ = 0;
};

}  // namespace trireme
