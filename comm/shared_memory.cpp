// The algorithms, for n ranks and B bytes a rank. "Meeting" is NodeGroup::meet. Reductions follow reduce.h's
// tree, so which of them is taken does not show in the bits.
//
//   in slots  (small, or memory that is not everybody's): every rank copies a piece of its values into its
//             staging slot, all meet once, every rank reduces everybody's piece for itself. One meeting a
//             piece; a rank reads n B and writes 2 B.
//   in place  (all ranks' memory registered): all meet; rank r reduces the r-th slice of everybody's memory
//   and
//             writes the result into everybody's; all meet. Two meetings; a rank reads B and writes B,
//             whatever n.
//   in slices (as the first, for more ranks): as the second on pieces, with staging slots in place of what is
//   not
//             registered; copying in, reducing and copying out go on in one phase between meetings, on pieces
//             j + 1, j and j - 1. A rank reads and writes 3 B.
#include "comm/shared_memory.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "comm/node_group.h"
#include "comm/reduce.h"

namespace trireme {
namespace {

constexpr size_t line = 64;
// Up to here one meeting and n reads beat two meetings and slices. Measured by perf/all_reduce; see
// comm/README.md.
constexpr size_t small_bytes = 1024;
constexpr size_t small_slice = 16384, small_step = 256;
// Up to that many ranks reducing everything oneself beats copying results out.
constexpr int most_ranks_in_slots = 3;

void copy_bytes(void* to, const void* from, size_t bytes) {
  if (bytes != 0 && to != from) std::memmove(to, from, bytes);
}
std::byte* at(void* memory, size_t bytes) { return static_cast<std::byte*>(memory) + bytes; }
const std::byte* at(const void* memory, size_t bytes) {
  return static_cast<const std::byte*>(memory) + bytes;
}

// FNV-1a: ranks that come with different bounds shall be told.
uint64_t hash_of(std::span<const size_t> bounds) {
  uint64_t hash = 14695981039346656037u;
  for (size_t bound : bounds) hash = (hash ^ bound) * 1099511628211u;
  return hash;
}

class SharedMemoryCommunicator final : public Communicator {
 public:
  SharedMemoryCommunicator(std::unique_ptr<Communicator> bootstrap, std::shared_ptr<Activity> activity)
      : Communicator(std::move(activity)),
        group_(std::move(bootstrap)),
        ranks_(static_cast<size_t>(group_.size())),
        me_(static_cast<size_t>(group_.rank())),
        parts_(ranks_),
        outs_(ranks_) {}

  int rank() const override { return group_.rank(); }
  int size() const override { return group_.size(); }
  std::string name() const override { return "shared_memory"; }

 private:
  Buffer do_allocate(size_t bytes) override { return group_.allocate(bytes); }
  void do_barrier() override { group_.meet({.operation = NodeOperation::barrier}); }
  std::unique_ptr<Communicator> do_split(int color, int key) override {
    return make_shared_memory_communicator(group_.bootstrap().split(color, key));
  }

  void do_all_reduce(const void* send, void* receive, size_t count, DType type, ReduceOp op) override {
    NodeWish wish{.operation = NodeOperation::all_reduce, .count = count, .type = type, .op = op};
    size_t bytes = count * size_of(type);
    if (bytes <= small_bytes) return reduce_in_slots(send, receive, count, type, op, wish);
    wish.tells_memory = true;
    wish.send = send;
    wish.receive = receive;
    wish.send_bytes = wish.receive_bytes = bytes;
    group_.meet(wish);
    if (group_.all_registered()) {
      reduce_in_place(count, type, op);
    } else if (size() <= most_ranks_in_slots) {
      reduce_in_slots(send, receive, count, type, op, {});
    } else {
      reduce_in_slices(send, receive, count, type, op);
    }
  }

  // Meets for `first_wish`, and once more for each further piece.
  void reduce_in_slots(const void* send, void* receive, size_t count, DType type, ReduceOp op,
                       const NodeWish& first_wish) {
    const size_t element = size_of(type), piece = NodeGroup::staging_bytes / element;
    for (size_t first = 0; first == 0 || first < count; first += piece) {
      size_t n = std::min(piece, count - first);
      copy_bytes(slot(1), at(send, first * element), n * element);
      group_.meet(first == 0 ? first_wish : NodeWish{});
      if (n == 0) continue;
      for (size_t r = 0; r < ranks_; ++r) parts_[r] = r == me_ ? at(send, first * element) : slot_of(r, 0);
      reduce_parts(parts_, at(receive, first * element), n, type, op);
    }
  }

  // Slices are cut where cache lines begin, so that no line has two writers.
  void reduce_in_place(size_t count, DType type, ReduceOp op) {
    const size_t element = size_of(type);
    const auto address = reinterpret_cast<uintptr_t>(group_.receive_of(0)) % line;  // alike on all ranks
    const size_t lead = (line - address) % line / element;
    const size_t first = cut(me_, count, lead, element), last = cut(me_ + 1, count, lead, element);
    // Processors fetch ahead what follows: at the end of a small slice lines of the next one, out of the
    // cache of the rank that works there, which then has to fetch them back. So the lower half of the ranks
    // goes downwards.
    const bool downwards = 2 * me_ < ranks_ && (last - first) * element <= small_slice;
    const size_t step = downwards ? small_step / element : last - first;
    for (size_t end = last; end > first;) {
      size_t begin = end - first > step ? end - step : first;
      for (size_t r = 0; r < ranks_; ++r) {
        parts_[r] = group_.sends()[r] + begin * element;
        outs_[r] = group_.receives()[r] + begin * element;
      }
      reduce_parts(parts_, outs_, end - begin, type, op);
      end = begin;
    }
    group_.meet({});
  }

  // Where slice r begins: at a line's first element, `lead` being the first such one.
  size_t cut(size_t r, size_t count, size_t lead, size_t element) const {
    if (r == 0) return 0;
    if (r == ranks_) return count;
    size_t even = count * r / ranks_, per_line = line / element;
    return even <= lead ? std::min(lead, count) : lead + (even - lead) / per_line * per_line;
  }

  void reduce_in_slices(const void* send, void* receive, size_t count, DType type, ReduceOp op) {
    const size_t element = size_of(type), piece = NodeGroup::staging_bytes / element;
    const size_t pieces = (count + piece - 1) / piece;
    const bool staged = group_.send_of(rank()) == nullptr || group_.receive_of(rank()) == nullptr;
    auto size_of_piece = [&](size_t j) { return std::min(piece, count - j * piece); };
    if (staged) copy_bytes(slot(1), send, size_of_piece(0) * element);
    group_.meet({});
    for (size_t j = 0; j < pieces; ++j) {
      if (staged && j + 1 < pieces) {
        copy_bytes(slot(1), at(send, (j + 1) * piece * element), size_of_piece(j + 1) * element);
      }
      size_t first = cut(me_, size_of_piece(j), 0, element),
             last = cut(me_ + 1, size_of_piece(j), 0, element);
      for (size_t r = 0; r < ranks_; ++r) {
        const std::byte* from = group_.sends()[r];
        std::byte* to = group_.receives()[r];
        bool in_slot = from == nullptr || to == nullptr;
        size_t offset = (in_slot ? first : j * piece + first) * element;
        parts_[r] = (in_slot ? slot_of(r, 0) : from) + offset;
        outs_[r] = (in_slot ? slot_of(r, 0) : to) + offset;
      }
      if (first < last) reduce_parts(parts_, outs_, last - first, type, op);
      if (staged && j > 0) copy_bytes(at(receive, (j - 1) * piece * element), slot(-1), piece * element);
      group_.meet({});
    }
    size_t final = (pieces - 1) * piece;
    if (staged) copy_bytes(at(receive, final * element), slot(-1), (count - final) * element);
  }

  void do_reduce_scatter(const void* send, void* receive, std::span<const size_t> bounds, DType type,
                         ReduceOp op) override {
    const size_t element = size_of(type), total = bounds.back();
    const size_t first = bounds[me_], last = bounds[me_ + 1];
    NodeWish wish{.operation = NodeOperation::reduce_scatter, .count = total, .type = type, .op = op};
    wish.detail = hash_of(bounds);
    if (total * element > small_bytes) {
      wish.tells_memory = true;
      wish.send = wish.receive = send;  // results are only written at home
      wish.send_bytes = wish.receive_bytes = total * element;
      group_.meet(wish);
      wish = {};
      if (group_.all_registered()) {
        for (size_t r = 0; r < ranks_; ++r) parts_[r] = group_.sends()[r] + first * element;
        if (first < last) reduce_parts(parts_, receive, last - first, type, op);
        return group_.meet({});
      }
    }
    // `receive` may be our block of `send`: a piece is in the slot before anything of it is overwritten.
    const size_t piece = NodeGroup::staging_bytes / element;
    for (size_t begin = 0; begin == 0 || begin < total; begin += piece) {
      size_t n = std::min(piece, total - begin);
      copy_bytes(slot(1), at(send, begin * element), n * element);
      group_.meet(begin == 0 ? wish : NodeWish{});
      size_t from = std::clamp(first, begin, begin + n), to = std::clamp(last, begin, begin + n);
      if (from == to) continue;
      for (size_t r = 0; r < ranks_; ++r) parts_[r] = slot_of(r, 0) + (from - begin) * element;
      reduce_parts(parts_, at(receive, (from - first) * element), to - from, type, op);
    }
  }

  void do_all_gather(const void* send, void* receive, std::span<const size_t> bounds, DType type) override {
    const size_t element = size_of(type), piece = NodeGroup::staging_bytes / element;
    auto block = [&](size_t r) { return bounds[r + 1] - bounds[r]; };
    copy_bytes(at(receive, bounds[me_] * element), send, block(me_) * element);
    NodeWish wish{.operation = NodeOperation::all_gather, .count = bounds.back(), .type = type};
    wish.detail = hash_of(bounds);
    size_t most = 0;
    for (size_t r = 0; r < ranks_; ++r) most = std::max(most, block(r));
    if (most * element > small_bytes) {
      wish.tells_memory = true;
      wish.send = wish.receive = send;  // every rank fetches
      wish.send_bytes = wish.receive_bytes = block(me_) * element;
      group_.meet(wish);
      wish = {};
      if (group_.all_registered()) {
        for (size_t i = 1; i < ranks_; ++i) {
          size_t r = (me_ + i) % ranks_;  // everybody begins with another one's
          copy_bytes(at(receive, bounds[r] * element), group_.sends()[r], block(r) * element);
        }
        return group_.meet({});
      }
    }
    for (size_t first = 0; first == 0 || first < most; first += piece) {
      auto size = [&](size_t r) { return block(r) <= first ? 0 : std::min(piece, block(r) - first); };
      if (size(me_) != 0) copy_bytes(slot(1), at(send, first * element), size(me_) * element);
      group_.meet(first == 0 ? wish : NodeWish{});
      for (size_t r = 0; r < ranks_; ++r) {
        if (r == me_ || size(r) == 0) continue;
        copy_bytes(at(receive, (bounds[r] + first) * element), slot_of(r, 0), size(r) * element);
      }
    }
  }

  void do_broadcast(void* data, size_t bytes, int root) override {
    const bool is_root = root == rank();
    NodeWish wish{.operation = NodeOperation::broadcast, .count = bytes, .root = root};
    if (bytes > small_bytes) {
      wish.tells_memory = true;
      wish.send = wish.receive = data;
      wish.send_bytes = wish.receive_bytes = is_root ? bytes : 0;
      group_.meet(wish);
      wish = {};
      if (group_.all_registered()) {
        if (!is_root) copy_bytes(data, group_.send_of(root), bytes);
        return group_.meet({});
      }
    }
    const size_t piece = NodeGroup::staging_bytes;
    for (size_t first = 0; first == 0 || first < bytes; first += piece) {
      size_t n = std::min(piece, bytes - first);
      if (is_root) copy_bytes(slot(1), at(data, first), n);
      group_.meet(first == 0 ? wish : NodeWish{});
      if (!is_root) copy_bytes(at(data, first), slot_of(static_cast<size_t>(root), 0), n);
    }
  }

  std::byte* slot_of(size_t r, int ahead) const {
    return group_.staging(static_cast<int>(r), group_.turn(ahead));
  }
  std::byte* slot(int ahead) const { return slot_of(me_, ahead); }

  NodeGroup group_;
  size_t ranks_;
  size_t me_;
  std::vector<const void*> parts_;  // scratch of one call
  std::vector<void*> outs_;
};

}  // namespace

std::unique_ptr<Communicator> make_shared_memory_communicator(std::unique_ptr<Communicator> bootstrap,
                                                              std::shared_ptr<Activity> activity) {
  return std::make_unique<SharedMemoryCommunicator>(std::move(bootstrap), std::move(activity));
}

}  // namespace trireme
