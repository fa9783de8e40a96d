// Memory that the ranks of one node share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace trireme {

// Where such memory can come from, in the order of preference.
//   huge:  a memory file in reserved huge pages of 2 MiB; tried where a part is that large and enough are
//          reserved
//   memfd: a memory file; peers open it as /proc/PID/fd/N. It has no name, so nothing can be left behind, and
//          no limit but the node's memory
//   posix: shm_open, for kernels or containers that hide the ranks' /proc from each other; bound by
//          /dev/shm's size, and unlinked before the constructor returns
enum class SegmentKind : uint8_t { huge, memfd, posix };
constexpr SegmentKind all_segment_kinds[] = {SegmentKind::huge, SegmentKind::memfd, SegmentKind::posix};

// A mapping of one part for each rank of a group, all parts mapped by every rank, zeroed. Parts are aligned
// to pages, and to 2 MiB where they are that large; each is touched first by its owner, which puts it into
// its owner's NUMA node. All of it is really reserved: a full /dev/shm is an error here and never a SIGBUS
// later. The mapping stays good, for this rank, until its SharedSegment dies, whatever the others do.
class SharedSegment {
 public:
  // Collective over `group`, whose ranks are processes or threads of one node; each may ask for another size,
  // nothing included. Tries `kinds` in turn, and all ranks end with the same. Throws CommError on all ranks,
  // naming the rank and the step that failed for each kind, and leaves nothing behind.
  SharedSegment(Communicator& group, size_t bytes, std::span<const SegmentKind> kinds = all_segment_kinds);
  ~SharedSegment();
  SharedSegment(const SharedSegment&) = delete;
  SharedSegment& operator=(const SharedSegment&) = delete;

  std::byte* part(int rank) const { return base_ + bounds_[static_cast<size_t>(rank)]; }
  size_t part_bytes(int rank) const { return bytes_[static_cast<size_t>(rank)]; }
  SegmentKind kind() const { return kind_; }

 private:
  std::string attempt(Communicator& group, SegmentKind kind);

  std::byte* base_ = nullptr;
  size_t total_ = 0;
  std::vector<size_t> bytes_;   // asked for, by rank
  std::vector<size_t> bounds_;  // where parts begin; one more than ranks
  SegmentKind kind_ = SegmentKind::memfd;
};

}  // namespace trireme
