#include "comm/node_group.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <exception>

#include "base/error.h"
#include "comm/world.h"

namespace trireme {
namespace {

constexpr size_t line = 64;
constexpr int32_t unregistered = -1;  // in place of a region's number
constexpr int32_t no_bytes = -2;
size_t round_up(size_t bytes) { return (bytes + line - 1) / line * line; }

// Whether there are more ranks than processors that they may run on, all together.
bool is_crowded(Communicator& group) {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  sched_getaffinity(0, sizeof mine, &mine);
  std::vector<cpu_set_t> all(static_cast<size_t>(group.size()));
  group.all_gather(&mine, sizeof mine, DType::uint8, all.data());
  for (const cpu_set_t& other : all) CPU_OR(&mine, &mine, &other);
  int processors = CPU_COUNT(&mine);
  return processors != 0 && processors < group.size();  // 0: more than the mask has room for
}

bool is_one_process(Communicator& group) {
  auto own = static_cast<int64_t>(getpid());
  std::vector<int64_t> all(static_cast<size_t>(group.size()));
  group.all_gather(&own, 1, DType::int64, all.data());
  return std::all_of(all.begin(), all.end(), [own](int64_t process) { return process == own; });
}

std::string to_string(const NodePost& post) {
  static constexpr const char* operations[] = {"done",       "all_reduce", "reduce_scatter",
                                               "all_gather", "broadcast",  "barrier"};
  static constexpr const char* reductions[] = {"sum", "average", "max"};
  return fmt::format("{}({} x {}, {}, root {})", operations[post.what & 0xff], post.count,
                     name_of(static_cast<DType>(post.what >> 8 & 0xff)), reductions[post.what >> 16 & 0xff],
                     post.what >> 32);
}

}  // namespace

// What allocate() makes: a part for each rank. A rank's freeing its part ends its own use only, so every
// rank's group keeps the mapping until all ranks have freed: who has not may still hand in this memory, and
// the others must find it. How many have is counted in the last line of rank 0's part.
struct NodeGroup::Region {
  Region(Communicator& group, size_t bytes)
      : segment(group, group.rank() == 0 ? round_up(bytes) + line : bytes) {
    part = segment.part(group.rank());
    part_bytes = bytes;
  }
  std::atomic<int>& freed_by() {
    return *reinterpret_cast<std::atomic<int>*>(segment.part(0) + segment.part_bytes(0) - line);
  }

  SharedSegment segment;
  std::byte* part;
  size_t part_bytes;
  int32_t number = 0;
  std::atomic<bool> freed{false};  // by this rank
};

NodeGroup::NodeGroup(std::unique_ptr<Communicator> bootstrap)
    : bootstrap_(std::move(bootstrap)),
      rank_(bootstrap_->rank()),
      size_(bootstrap_->size()),
      one_process_(is_one_process(*bootstrap_)),
      exceptions_at_birth_(std::uncaught_exceptions()) {
  size_t bytes = sizeof(NodeFlags) + staging_slots * staging_bytes;
  control_ = std::make_unique<SharedSegment>(*bootstrap_, bytes);
  std::vector<NodeFlags*> flags;
  for (int r = 0; r < size_; ++r) flags.push_back(reinterpret_cast<NodeFlags*>(control_->part(r)));
  barrier_ = std::make_unique<NodeBarrier>(rank_, std::move(flags), is_crowded(*bootstrap_));
  send_.resize(static_cast<size_t>(size_));
  receive_.resize(static_cast<size_t>(size_));
}

NodeGroup::~NodeGroup() {
  // A process that fails ends the whole job with its own message and code (run_main); were the others told
  // now, theirs would come first.
  bool failing = std::uncaught_exceptions() > exceptions_at_birth_;
  if (one_process_ || !failing) barrier_->leave();
}

std::byte* NodeGroup::staging(int rank, uint32_t turn) const {
  return control_->part(rank) + sizeof(NodeFlags) + turn % staging_slots * staging_bytes;
}

Buffer NodeGroup::allocate(size_t bytes) {
  std::erase_if(regions_, [this](const auto& region) {
    return region->freed && region->freed_by().load(std::memory_order_acquire) == size_;
  });
  auto region = std::make_shared<Region>(*bootstrap_, bytes);
  region->number = next_region_++;
  regions_.push_back(region);
  return Buffer(region->part, bytes, [region](std::byte*) {
    region->freed = true;
    region->freed_by().fetch_add(1, std::memory_order_acq_rel);
  });
}

NodeGroup::Place NodeGroup::locate(const void* memory, size_t bytes) const {
  if (bytes == 0) return {no_bytes, 0};
  const auto* first = static_cast<const std::byte*>(memory);
  for (const auto& region : regions_) {
    if (first < region->part || first + bytes > region->part + region->part_bytes || region->freed) continue;
    return {region->number, static_cast<uint64_t>(first - region->part)};
  }
  return {unregistered, 0};
}

std::byte* NodeGroup::address(int rank, int32_t number, uint64_t offset) const {
  if (number < 0) return nullptr;
  for (const auto& region : regions_) {
    if (region->number == number) return region->segment.part(rank) + offset;
  }
  throw CommError("rank {} on {}: rank {} of this node hands in memory that this one has never seen", rank_,
                  host_name(), rank);
}

void NodeGroup::agree(uint64_t what, uint64_t count, uint64_t detail, const NodeWish* memory) {
  Place send{no_bytes, 0}, receive{no_bytes, 0};
  if (memory != nullptr) {
    send = locate(memory->send, memory->send_bytes);
    receive = memory->receive == memory->send ? send : locate(memory->receive, memory->receive_bytes);
  }
  const NodePost mine{what, count, detail, send.region, receive.region, send.offset, receive.offset};
  int gone = barrier_->meet(mine);
  if (gone >= 0) {
    throw CommError(
        "rank {} on {}: {} cannot complete: rank {} of this node has left the group: it failed, or makes "
        "fewer "
        "calls than this one",
        rank_, host_name(), to_string(mine), gone);
  }
  if (memory != nullptr) all_registered_ = true;
  for (int r = 0; r < size_; ++r) {
    const NodePost& other = r == rank_ ? mine : barrier_->said(r);
    if (other.what != mine.what || other.count != mine.count || other.detail != mine.detail) [[unlikely]] {
      throw CommError("rank {} on {}: ranks disagree: {} here, {} on rank {} of this node", rank_,
                      host_name(), to_string(mine), to_string(other), r);
    }
    if (memory == nullptr) continue;
    auto at = static_cast<size_t>(r);
    send_[at] = address(r, other.send_region, other.send_offset);
    receive_[at] = address(r, other.receive_region, other.receive_offset);
    all_registered_ =
        all_registered_ && other.send_region != unregistered && other.receive_region != unregistered;
  }
}

}  // namespace trireme
