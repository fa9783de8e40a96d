// One server's part of the parameters: takes pushes, applies each ticket once, lets cuts be taken while it
// goes on.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/range.h"
#include "comm/parameter_server/apply_pool.h"
#include "comm/parameter_server/codec.h"
#include "comm/parameter_server/shard_rules.h"
#include "comm/parameter_server/ticket.h"
#include "comm/parameter_server/window.h"

namespace trireme {

// How a shard's vector is cut: parameters [0, n), in blocks one behind the other, then the states.
struct ShardLayout {
  std::vector<Range> blocks;  // of the parameters; the first begins at 0, each where the one before ends
  Range states{};            // [n, n + m), one more block where m > 0, whose "gradient" is the payload's tail
  size_t tail_elements = 0;  // floats of the tail

  size_t elements() const { return blocks.empty() ? 0 : blocks.back().end; }  // n
  size_t size() const { return elements() + states.size(); }                  // n + m
  PayloadShape payload() const { return {elements(), tail_elements}; }
  std::vector<Range> all_blocks() const;  // and the states
};

// [0, elements) in blocks of at most block_elements.
std::vector<Range> even_blocks(size_t elements, size_t block_elements = size_t{64} << 10);

// Memory that others may read by one-sided gets, given from outside so that it can be registered; for
// instance words at the beginning and values version_bytes(blocks) behind it. It outlives the shard.
struct ShardMemory {
  std::span<uint64_t> versions;  // layout.all_blocks().size() words
  std::span<float> values;       // layout.size()
};

struct ShardOptions {
  int32_t pieces = 1;
  int64_t first_clock = 0;
  bool collect_clocks = false;  // BSP: keep payloads until all of a clock are in, add them, apply once
  size_t first_lane = 0;  // of the pool, for the first blocks: shards that share a pool choose different ones
};

struct PushInfo {
  Ticket ticket{};
  int32_t worker = 0;
  int64_t incarnation = 0;
  uint64_t pulled_version = 0;  // updates_in() of the pull that the gradient was computed with
  PayloadFormat format = PayloadFormat::float32;
};

// A payload and what keeps it in memory. Aligned to 4 bytes.
struct Payload {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
};

struct Applied {
  uint64_t staleness = 0;  // updates of the shard between pull and application; 0 of a duplicate
  uint64_t version = 0;    // updates that the shard has had, this one included
  bool duplicate = false;
};
// Called once by some thread of the pool, or from push() itself. Short, and without exceptions; may call the
// shard.
using OnApplied = std::function<void(const Applied&)>;

// Functions may be called by several threads at once.
//
// Order: pushes are applied in the order of calls, each block by its lane; with collect_clocks whole clocks,
// in rising order, pieces added in the order of comm/reduce.h (that of all-reduce among `pieces` ranks), so
// that bits do not depend on who came first. Only a push that waits for release_cut() lets later ones pass.
//
// A cut at clock K: the state after exactly the tickets of clocks below K. The first update of a clock >= K
// copies each block (values, and slots by the rules) before it changes it; later ones of clocks < K change
// both. When all tickets of clocks < K are in, what has not been copied is, and the cut is complete.
class Shard {
 public:
  // Throws CommError where sizes do not fit each other. The values are those to start from; versions are set
  // to 0.
  Shard(ShardMemory memory, ShardLayout layout, ShardRules& rules, ApplyPool& pool,
        const ShardOptions& options);
  // Waits until what is being applied is through. Pushes that wait for a clock to be whole, or for
  // release_cut(), are dropped.
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // True: taken over, and `applied` is called when all blocks are through (collect_clocks: when the whole
  // clock is). False: a duplicate, nothing changes; `applied` is called when the first has been applied,
  // which may be at once. Throws CommError for a malformed payload or ticket, before anything is changed;
  // `applied` is then never called.
  bool push(const PushInfo& info, Payload payload, OnApplied applied);

  // Asks for a cut at `clock`; `complete` is called once, by some thread of the pool, when it can be read.
  // Several may be asked for, in rising order; each must be released before updates of the next one's clocks
  // can be made: those wait. Throws CommError where an update of a clock >= `clock` has been taken in, or the
  // order is not rising.
  void set_cut(int64_t clock, std::function<void()> complete);
  // The complete cut, layout.size() elements. Throws CommError when there is none.
  std::span<const float> cut_values() const;
  // The cut has been read. Throws CommError when none is complete.
  void release_cut();

  // Copies all values to `out` (layout.size() floats) between two updates, and then calls `copied` with the
  // version that they are of: for readers whom a busy block has turned away too often. `out` must live until
  // then.
  void copy_values(std::span<float> out, std::function<void(uint64_t version)> copied);

  // Updates applied to all blocks.
  uint64_t version() const;
  // Tickets taken in. All of them will be applied, those at the end of the run perhaps not: see ~Shard.
  TicketWindow window() const;
  const ShardLayout& layout() const { return layout_; }

 private:
  struct Part {
    PushInfo info;
    PayloadView view;
    std::shared_ptr<const void> owner;
    OnApplied applied;
  };
  struct Cut;
  struct Update;
  struct LaneScratch;

  // Of the mutex's holder:
  void dispatch(std::vector<Part> parts);
  void dispatch_ready_clocks();
  bool must_wait(int64_t clock) const;
  void finish_cut_if_due();
  template <class Each, class Last>
  class Job;
  template <class Each, class Last>
  void submit(Each each, Last last);
  // Of a lane, for all of its blocks:
  void apply(const Update& update, size_t slot);
  void copy_block(Cut& cut, size_t block);
  const float* gradient_of(const Update& update, size_t block, LaneScratch& scratch) const;
  // Of the last lane to be through:
  void finished(Update& update);

  ShardMemory memory_;
  ShardLayout layout_;
  std::vector<Range> blocks_;  // states included
  ShardRules& rules_;
  ApplyPool& pool_;
  ShardOptions options_;
  std::vector<size_t> lanes_;       // of the pool: those that have blocks of ours; a slot is a place in here
  std::vector<Range> slot_blocks_;  // which of blocks_
  std::vector<std::unique_ptr<LaneScratch>> slot_scratch_;

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  TicketWindow window_;     // taken in
  TicketWindow applied_;    // and applied
  int64_t dispatched_end_;  // clocks of updates that lanes have been given are below
  int64_t next_clock_;      // collect_clocks: the next to be applied
  std::map<int64_t, std::vector<Part>> collected_;
  std::deque<Part> waiting_;  // for release_cut
  std::map<int64_t, std::vector<OnApplied>>
      duplicates_;                         // by ticket number: of pushes that are not yet applied
  std::deque<std::shared_ptr<Cut>> cuts_;  // the first is at work
  Buffer cut_memory_;
  uint64_t dispatched_updates_ = 0;
  uint64_t applied_updates_ = 0;
  size_t in_flight_ = 0;
};

}  // namespace trireme
