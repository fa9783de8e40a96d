#include "comm/parameter_server/shard.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>

#include "base/error.h"
#include "comm/parameter_server/block_versions.h"
#include "comm/reduce.h"

namespace trireme {
namespace {

// Of a clock's pieces so many elements are decoded and added at a time: what is decoded stays in the caches.
constexpr size_t chunk_elements = 4096;

}  // namespace

// A cut that is asked for. Flags of blocks belong to their lanes.
struct Shard::Cut {
  int64_t clock;
  std::function<void()> complete;
  std::vector<uint8_t> copied;
  bool finishing = false;  // the lanes have been told to copy the rest
  bool done = false;
};

struct Shard::Update {
  std::vector<Part> parts;  // one; collect_clocks: all pieces of the clock, in their order
  bool changes = false;     // not only tickets without a gradient
  bool collected = false;
  uint64_t before = 0;  // updates before this one
  std::shared_ptr<Cut> cut;

  int64_t clock() const { return parts.front().info.ticket.clock; }
  uint64_t version() const { return before + (changes ? 1 : 0); }
  uint64_t staleness(const Part& part) const { return before - std::min(before, part.info.pulled_version); }
};

struct Shard::LaneScratch {
  std::vector<float> gradient;  // a block or tail
  std::vector<float> parts;     // collect_clocks: a chunk of each piece
  std::vector<const void*> pointers;
};

std::vector<Range> ShardLayout::all_blocks() const {
  std::vector<Range> all = blocks;
  if (!states.empty()) all.push_back(states);
  return all;
}

std::vector<Range> even_blocks(size_t elements, size_t block_elements) {
  std::vector<Range> blocks;
  for (size_t begin = 0; begin < elements; begin += block_elements)
    blocks.push_back({begin, std::min(elements, begin + block_elements)});
  return blocks;
}

Shard::Shard(ShardMemory memory, ShardLayout layout, ShardRules& rules, ApplyPool& pool,
             const ShardOptions& options)
    : memory_(memory),
      layout_(std::move(layout)),
      blocks_(layout_.all_blocks()),
      rules_(rules),
      pool_(pool),
      options_(options),
      window_(options.pieces, options.first_clock),
      applied_(options.pieces, options.first_clock),
      dispatched_end_(options.first_clock),
      next_clock_(options.first_clock) {
  size_t at = 0;
  for (const Range& block : blocks_) {
    if (block.begin != at || block.end <= block.begin)
      throw CommError("shard: a block of elements {} to {} where {} is the next", block.begin, block.end, at);
    at = block.end;
  }
  if (memory_.values.size() != at || memory_.versions.size() != blocks_.size())
    throw CommError("shard: memory for {} values and {} versions; {} and {} are needed",
                    memory_.values.size(), memory_.versions.size(), at, blocks_.size());
  std::fill(memory_.versions.begin(), memory_.versions.end(), 0);

  // Neighbours go to one lane, about as many elements to each.
  size_t slots = std::clamp<size_t>(blocks_.size(), 1, pool_.lanes()), block = 0,
         longest = layout_.tail_elements;
  for (size_t slot = 0; slot < slots; ++slot) {
    Range mine{block, block};
    while (block < blocks_.size() && blocks_[block].end * slots <= at * (slot + 1)) ++block;
    if (slot + 1 < slots && block == mine.begin && block < blocks_.size()) ++block;
    if (slot + 1 == slots) block = blocks_.size();
    mine.end = block;
    lanes_.push_back((options_.first_lane + slot) % pool_.lanes());
    slot_blocks_.push_back(mine);
  }
  for (const Range& one : blocks_) longest = std::max(longest, one.size());
  for (size_t slot = 0; slot < slots; ++slot) {
    slot_scratch_.push_back(std::make_unique<LaneScratch>());
    slot_scratch_.back()->gradient.resize(longest);
  }
}

Shard::~Shard() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return in_flight_ == 0; });
}

// each(slot) on every lane, then last() on the one that comes last. After an exception last() is not called,
// and the pool hands it on.
template <class Each, class Last>
class Shard::Job : public ApplyPool::Work {
 public:
  Job(Shard& shard, Each each, Last last)
      : shard_(shard), each_(std::move(each)), last_(std::move(last)), left_(shard.lanes_.size()) {}

  void run(size_t lane) override {
    const size_t lanes = shard_.pool_.lanes();
    std::exception_ptr error;
    attempt(error, [&] { each_((lane + lanes - shard_.options_.first_lane % lanes) % lanes); });
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      if (!failed_) attempt(error, last_);
      std::lock_guard lock(shard_.mutex_);
      if (--shard_.in_flight_ == 0) shard_.idle_.notify_all();
    }
    if (error) std::rethrow_exception(error);
  }

 private:
  template <class Call>
  void attempt(std::exception_ptr& error, Call&& call) {
    try {
      call();
    } catch (...) {
      error = std::current_exception();
      failed_ = true;
    }
  }
  Shard& shard_;
  Each each_;
  Last last_;
  std::atomic<size_t> left_;
  std::atomic<bool> failed_{false};
};

template <class Each, class Last>
void Shard::submit(Each each, Last last) {
  pool_.submit(lanes_, std::make_shared<Job<Each, Last>>(*this, std::move(each), std::move(last)));
  ++in_flight_;
}

bool Shard::push(const PushInfo& info, Payload payload, OnApplied applied) {
  PayloadView view(info.format, payload.bytes, layout_.payload());
  std::unique_lock lock(mutex_);
  const bool through = applied_.contains(info.ticket);  // refuses what lies too far ahead of it
  if (!window_.add(info.ticket)) {
    if (!through) {
      duplicates_[info.ticket.number(options_.pieces)].push_back(std::move(applied));
      return false;
    }
    const uint64_t version = applied_updates_;
    lock.unlock();
    applied({0, version, true});
    return false;
  }
  Part part{info, view, std::move(payload.owner), std::move(applied)};
  const int64_t clock = info.ticket.clock;
  if (options_.collect_clocks) {
    collected_[clock].push_back(std::move(part));
    dispatch_ready_clocks();
  } else if (must_wait(clock)) {
    waiting_.push_back(std::move(part));
  } else {
    std::vector<Part> one;
    one.push_back(std::move(part));
    dispatch(std::move(one));
    finish_cut_if_due();
  }
  return true;
}

bool Shard::must_wait(int64_t clock) const { return cuts_.size() > 1 && clock >= cuts_[1]->clock; }

void Shard::dispatch_ready_clocks() {
  while (true) {
    auto whole = collected_.find(next_clock_);
    if (whole == collected_.end() || whole->second.size() != static_cast<size_t>(options_.pieces) ||
        must_wait(next_clock_))
      return;
    std::vector<Part> parts = std::move(whole->second);
    collected_.erase(whole);
    std::sort(parts.begin(), parts.end(),
              [](const Part& a, const Part& b) { return a.info.ticket < b.info.ticket; });
    dispatch(std::move(parts));
    ++next_clock_;
    finish_cut_if_due();
  }
}

void Shard::dispatch(std::vector<Part> parts) {
  auto update = std::make_shared<Update>();
  update->parts = std::move(parts);
  update->changes = std::any_of(update->parts.begin(), update->parts.end(), [](const Part& part) {
    return part.view.format() != PayloadFormat::nothing;
  });
  update->collected = options_.collect_clocks;
  update->before = dispatched_updates_;
  if (!cuts_.empty()) update->cut = cuts_.front();
  if (update->changes) {
    ++dispatched_updates_;
    dispatched_end_ = std::max(dispatched_end_, update->clock() + 1);
  }
  submit([this, update](size_t slot) { apply(*update, slot); }, [this, update] { finished(*update); });
}

void Shard::apply(const Update& update, size_t slot) {
  if (!update.changes) return;
  LaneScratch& scratch = *slot_scratch_[slot];
  const Part& first = update.parts.front();
  UpdateInfo info{first.info.ticket.clock, update.collected ? 0 : first.info.ticket.piece,
                  update.collected ? options_.pieces : 1, 0};
  for (const Part& part : update.parts) info.staleness = std::max(info.staleness, update.staleness(part));
  Cut* cut = update.cut.get();
  const bool late = cut != nullptr && info.clock < cut->clock;
  for (size_t b = slot_blocks_[slot].begin; b < slot_blocks_[slot].end; ++b) {
    const Range block = blocks_[b];
    const float* gradient = gradient_of(update, b, scratch);
    const float* pulled =
        update.collected || b == layout_.blocks.size() ? nullptr : first.view.parameters(block);
    if (cut != nullptr && !late && cut->copied[b] == 0) copy_block(*cut, b);
    begin_update(
        memory_.versions[b]);  // counts updates also where there is nothing to change: states without a tail
    if (gradient != nullptr)
      rules_.update(b, block, memory_.values.data(), gradient, pulled, info, ShardState::live);
    end_update(memory_.versions[b]);
    if (late && cut->copied[b] != 0 && gradient != nullptr)
      rules_.update(b, block, cut_memory_.as<float>(), gradient, pulled, info, ShardState::cut);
  }
}

// The block's gradient, or the tail for the states; of a collected clock the sum. nullptr where there is
// none.
const float* Shard::gradient_of(const Update& update, size_t b, LaneScratch& scratch) const {
  const bool states = b == layout_.blocks.size();
  if (states && layout_.tail_elements == 0) return nullptr;
  const Range block = states ? Range{0, layout_.tail_elements} : layout_.blocks[b];
  if (update.parts.size() == 1) {
    const PayloadView& view = update.parts.front().view;
    return states ? view.tail() : view.gradient(block, scratch.gradient.data());
  }
  const size_t pieces = update.parts.size();
  scratch.parts.resize(pieces * chunk_elements);
  scratch.pointers.resize(pieces);
  for (size_t begin = block.begin; begin < block.end; begin += chunk_elements) {
    const Range chunk{begin, std::min(block.end, begin + chunk_elements)};
    for (size_t p = 0; p < pieces; ++p) {
      const PayloadView& view = update.parts[p].view;
      float* dense = scratch.parts.data() + p * chunk_elements;
      const float* piece = states ? view.tail() : view.gradient(chunk, dense);
      if (piece == nullptr) {  // no gradient: zeros, so that the others keep their places in the sum
        std::fill_n(dense, chunk.size(), 0.0f);
        piece = dense;
      } else if (states) {
        piece += chunk.begin;
      }
      scratch.pointers[p] = piece;
    }
    reduce_parts(scratch.pointers, scratch.gradient.data() + (begin - block.begin), chunk.size(),
                 DType::float32, ReduceOp::sum);
  }
  return scratch.gradient.data();
}

void Shard::finished(Update& update) {
  std::vector<OnApplied> duplicates;
  {
    std::lock_guard lock(mutex_);
    if (update.changes) ++applied_updates_;
    for (const Part& part : update.parts) {
      applied_.add(part.info.ticket);
      if (duplicates_.empty()) continue;
      auto found = duplicates_.extract(part.info.ticket.number(options_.pieces));
      if (!found.empty())
        std::move(found.mapped().begin(), found.mapped().end(), std::back_inserter(duplicates));
    }
  }
  for (Part& part : update.parts) part.owner.reset();  // payloads are free before anybody is told
  for (const Part& part : update.parts) part.applied({update.staleness(part), update.version(), false});
  for (const OnApplied& one : duplicates) one({0, update.version(), true});
}

void Shard::copy_block(Cut& cut, size_t b) {
  const Range block = blocks_[b];
  std::memcpy(cut_memory_.as<float>() + block.begin, memory_.values.data() + block.begin,
              block.size() * sizeof(float));
  rules_.copy_slots(b, block);
  cut.copied[b] = 1;
}

void Shard::set_cut(int64_t clock, std::function<void()> complete) {
  std::lock_guard lock(mutex_);
  if (!cuts_.empty() && clock <= cuts_.back()->clock)
    throw CommError("shard: a cut at clock {} after one at clock {}", clock, cuts_.back()->clock);
  if (clock < dispatched_end_)
    throw CommError("shard: a cut at clock {}, but an update of clock {} has been made", clock,
                    dispatched_end_ - 1);
  if (cut_memory_.bytes() == 0) cut_memory_ = Buffer(layout_.size() * sizeof(float));
  cuts_.push_back(
      std::make_shared<Cut>(clock, std::move(complete), std::vector<uint8_t>(blocks_.size(), uint8_t{0})));
  finish_cut_if_due();
}

// All updates of clocks below the cut's have been given to the lanes: behind them, the lanes copy what has
// not been copied.
void Shard::finish_cut_if_due() {
  if (cuts_.empty() || cuts_.front()->finishing) return;
  std::shared_ptr<Cut> cut = cuts_.front();
  if ((options_.collect_clocks ? next_clock_ : window_.complete()) < cut->clock) return;
  cut->finishing = true;
  submit(
      [this, cut](size_t slot) {
        for (size_t b = slot_blocks_[slot].begin; b < slot_blocks_[slot].end; ++b) {
          if (cut->copied[b] == 0) copy_block(*cut, b);
        }
      },
      [this, cut] {
        {
          std::lock_guard lock(mutex_);
          cut->done = true;
        }
        if (cut->complete) cut->complete();
      });
}

std::span<const float> Shard::cut_values() const {
  std::lock_guard lock(mutex_);
  if (cuts_.empty() || !cuts_.front()->done) throw CommError("shard: no cut is complete that could be read");
  return {cut_memory_.as<float>(), layout_.size()};
}

void Shard::release_cut() {
  std::lock_guard lock(mutex_);
  if (cuts_.empty() || !cuts_.front()->done)
    throw CommError("shard: no cut is complete that could be released");
  cuts_.pop_front();
  std::deque<Part> waiting = std::move(waiting_);
  waiting_.clear();
  for (Part& part : waiting) {
    if (must_wait(part.info.ticket.clock)) {
      waiting_.push_back(std::move(part));
      continue;
    }
    std::vector<Part> one;
    one.push_back(std::move(part));
    dispatch(std::move(one));
  }
  if (options_.collect_clocks) dispatch_ready_clocks();
  finish_cut_if_due();
}

void Shard::copy_values(std::span<float> out, std::function<void(uint64_t version)> copied) {
  if (out.size() != layout_.size())
    throw CommError("shard: {} values do not fit a copy of {}", layout_.size(), out.size());
  std::lock_guard lock(mutex_);
  submit(
      [this, out](size_t slot) {
        for (size_t b = slot_blocks_[slot].begin; b < slot_blocks_[slot].end; ++b)
          std::memcpy(out.data() + blocks_[b].begin, memory_.values.data() + blocks_[b].begin,
                      blocks_[b].size() * sizeof(float));
      },
      [copied = std::move(copied), version = dispatched_updates_] { copied(version); });
}

uint64_t Shard::version() const {
  std::lock_guard lock(mutex_);
  return applied_updates_;
}

TicketWindow Shard::window() const {
  std::lock_guard lock(mutex_);
  return window_;
}

}  // namespace trireme
