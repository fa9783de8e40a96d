// How a rank that sleeps until a letter comes is woken by a sender on its node: a word in shared memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "comm/shared_segment.h"

namespace trireme {

// One bell a rank and channel. A ring tells nothing but that it is worth a look; what came goes another way.
class Doorbells {
 public:
  static constexpr int channels = 8;

  // Collective over `node`, the ranks of one node. Where they have no memory to share, each hears itself
  // alone.
  explicit Doorbells(Communicator& node);

  // Whether rank `peer` (of the node group) can ring here, and be rung.
  bool hears(int peer) const { return segment_ != nullptr || peer == rank_; }
  void ring(int peer, int channel);

  // For the owner of the channel: what to look at before looking for letters,
  uint32_t rings(int channel) const;
  // and sleep until there have been more, or `seconds` have gone. Returns early at times.
  void sleep(int channel, uint32_t rings, double seconds);

 private:
  struct alignas(128) Bell {
    std::atomic<uint32_t> rings;
    std::atomic<uint32_t> sleepers;
  };
  Bell& bell(int peer, int channel) const;

  int rank_;
  std::unique_ptr<SharedSegment> segment_;  // of each rank its bells
  std::vector<Bell> own_;                   // in their place where nothing is shared
};

}  // namespace trireme
