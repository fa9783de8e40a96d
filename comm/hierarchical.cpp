// The algorithms, for N nodes of m ranks each, L leaders a node, and B bytes a rank. "Meeting" is
// NodeGroup::meet.
//
// all_reduce, piece by piece:
//   1. rank r of a node reduces the r-th slice of everybody's memory there into the leaders', tree order;
//   2. leader l sums the l-th part over all nodes, in place: 2 B (N - 1) / N / L bytes sent by each;
//   3. everybody copies the leaders' parts.
// reduce_scatter: as 1., all of it into the scratch of leader 0, which scatters by node; everybody takes its
// block. all_gather: everybody puts its block into the scratch of leader 0, which gathers by node; everybody
// copies all. broadcast: the root puts a piece into the staging of its node's leader 0, leaders broadcast,
// everybody copies. The last three use leader 0 alone.
//
// Memory that is not allocate()'s goes through staging that is. Pieces are the same on all nodes, whose
// memory may be of different kinds. Within a node a sum is the tree over the node's ranks, between nodes the
// tree over nodes: with m a power of two and ranks that follow each other, the tree over all ranks.
#include "comm/hierarchical.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstring>
#include <map>
#include <set>

#include "base/error.h"
#include "comm/node_group.h"
#include "comm/reduce.h"
#include "comm/shared_memory.h"

namespace trireme {
namespace {

constexpr size_t piece_bytes = size_t{512} << 10;  // of what goes through staging

void copy_bytes(void* to, const void* from, size_t bytes) {
  if (bytes != 0 && to != from) std::memmove(to, from, bytes);
}

// Part i of `parts` of `count` elements: cut at multiples of 32, which no type makes less than a cache line
// but the narrowest.
size_t cut(size_t count, size_t i, size_t parts) { return i == parts ? count : count * i / parts / 32 * 32; }

// Who sits where.
struct Seats {
  std::vector<int> node_of_rank;
  std::vector<std::vector<int>> ranks_of_node;  // nodes by their first rank
  int node = 0;                                 // this rank's
  int least = 0;                                // ranks of the smallest node
  bool in_blocks = true;                        // the ranks of each node follow each other

  Seats(const std::vector<int>& nodes, int rank) : node_of_rank(nodes) {
    std::map<int, size_t> number;
    for (size_t r = 0; r < nodes.size(); ++r) {
      auto [found, is_new] = number.try_emplace(nodes[r], ranks_of_node.size());
      if (is_new) ranks_of_node.emplace_back();
      in_blocks = in_blocks && (is_new || nodes[r] == nodes[r - 1]);
      ranks_of_node[found->second].push_back(static_cast<int>(r));
    }
    node = static_cast<int>(number[nodes[static_cast<size_t>(rank)]]);
    least = static_cast<int>(nodes.size());
    for (const auto& ranks : ranks_of_node) least = std::min(least, static_cast<int>(ranks.size()));
  }
  bool follow_the_tree() const {
    auto m = static_cast<size_t>(least);
    bool even =
        std::all_of(ranks_of_node.begin(), ranks_of_node.end(), [m](const auto& r) { return r.size() == m; });
    return in_blocks && even && std::has_single_bit(m);
  }
};

class HierarchicalCommunicator final : public Communicator {
 public:
  HierarchicalCommunicator(std::unique_ptr<Communicator> all, const std::vector<int>& node_of_rank,
                           int leaders, std::shared_ptr<Activity> activity)
      : Communicator(std::move(activity)),
        all_(std::move(all)),
        seats_(node_of_rank, all_->rank()),
        leaders_(static_cast<size_t>(std::clamp(leaders, 1, seats_.least))) {
    make_node();
    auto mine = static_cast<size_t>(node_->rank());
    leads_ = mine < leaders_;
    // Those that lead nothing form a group of no use.
    between_ = all_->split(static_cast<int>(std::min(mine, leaders_)), seats_.node);
    for (const auto& ranks : seats_.ranks_of_node) node_bounds_.push_back(static_cast<size_t>(ranks.front()));
    node_bounds_.push_back(node_of_rank.size());
  }

  int rank() const override { return all_->rank(); }
  int size() const override { return all_->size(); }
  std::string name() const override { return "hierarchical"; }
  bool keeps_tree() const override { return seats_.follow_the_tree() && all_->keeps_tree(); }

 private:
  // A node without memory to share must not leave the others waiting: all ranks throw, in the words of the
  // first.
  void make_node() {
    std::array<char, 512> failure{};
    auto group = all_->split(seats_.node, all_->rank());
    try {
      node_ = std::make_unique<NodeGroup>(std::move(group));
      staging_ = node_->allocate(piece_bytes);
    } catch (const CommError& error) {
      std::snprintf(failure.data(), failure.size(), "%s", error.what());
    }
    std::vector<int32_t> failed(static_cast<size_t>(size()));
    int32_t mine = failure[0] != 0 ? 1 : 0;
    all_->all_gather(&mine, 1, DType::int32, failed.data());
    auto first = std::find(failed.begin(), failed.end(), 1);
    if (first == failed.end()) return;
    all_->broadcast(failure.data(), failure.size(), static_cast<int>(first - failed.begin()));
    throw CommError("{}", failure.data());
  }

  Buffer do_allocate(size_t bytes) override { return node_->allocate(bytes); }

  void do_barrier() override {
    node_->meet({.operation = NodeOperation::barrier});
    if (is_first()) between_->barrier();
    node_->meet({.operation = NodeOperation::barrier});
  }

  std::unique_ptr<Communicator> do_split(int color, int key) override {
    std::unique_ptr<Communicator> part = all_->split(color, key);
    std::vector<int> nodes(static_cast<size_t>(part->size()));
    part->all_gather(&seats_.node, 1, DType::int32, nodes.data());
    if (std::set<int>(nodes.begin(), nodes.end()).size() == 1)
      return make_shared_memory_communicator(std::move(part));
    return make_hierarchical_communicator(std::move(part), nodes, static_cast<int>(leaders_));
  }

  bool is_first() const { return node_->rank() == 0; }
  size_t first_of(size_t leader, size_t count) const { return cut(count, leader, leaders_); }

  void do_all_reduce(const void* send, void* receive, size_t count, DType type, ReduceOp op) override {
    const size_t element = size_of(type), bytes = count * element;
    NodeWish wish{.operation = NodeOperation::all_reduce, .count = count, .type = type, .op = op};
    wish.tells_memory = true;
    wish.send = send;
    wish.receive = receive;
    wish.send_bytes = wish.receive_bytes = bytes;
    node_->meet(wish);
    const bool here = node_->all_registered();
    const size_t piece = piece_bytes / element;
    for (size_t first = 0; first < count; first += piece) {
      size_t n = std::min(piece, count - first);
      const auto* from = static_cast<const std::byte*>(send) + first * element;
      auto* to = static_cast<std::byte*>(receive) + first * element;
      if (!here) copy_bytes(staging_.data(), from, n * element);
      wish.count = n;
      wish.send = here ? from : staging_.data();
      wish.receive = here ? to : staging_.data();
      wish.send_bytes = wish.receive_bytes = n * element;
      if (!here || count > piece) node_->meet(wish);  // else it has just been told
      reduce_here(here ? to : staging_.data(), n, type, op);
      if (!here) copy_bytes(to, staging_.data(), n * element);
    }
  }

  // After a meeting that told registered memory: everybody's sends become the sum in everybody's receive.
  void reduce_here(void* receive, size_t count, DType type, ReduceOp op) {
    const size_t element = size_of(type);
    auto mine = static_cast<size_t>(node_->rank()), ranks = static_cast<size_t>(node_->size());
    const ReduceOp sum = op == ReduceOp::average ? ReduceOp::sum : op;
    size_t begin = cut(count, mine, ranks), end = cut(count, mine + 1, ranks);
    for (size_t l = 0; l < leaders_; ++l) {  // my slice, part by part
      size_t first = std::max(begin, first_of(l, count)), last = std::min(end, first_of(l + 1, count));
      if (first < last) reduce_slice(node_->receive_of(static_cast<int>(l)), first, last, type, sum);
    }
    node_->meet({});
    if (leads_) {
      size_t first = first_of(mine, count), n = first_of(mine + 1, count) - first;
      std::byte* part = static_cast<std::byte*>(receive) + first * element;
      if (n != 0) between_->all_reduce(part, n, type, sum);
      if (op == ReduceOp::average) divide(part, n, type, size());
    }
    node_->meet({});
    for (size_t l = 0; l < leaders_; ++l) {
      size_t first = first_of(l, count) * element, n = first_of(l + 1, count) * element - first;
      if (l != mine) {
        copy_bytes(static_cast<std::byte*>(receive) + first, node_->receive_of(static_cast<int>(l)) + first,
                   n);
      }
    }
    node_->meet({});
  }

  // out[first, last) = the tree over the node's sends.
  void reduce_slice(std::byte* out, size_t first, size_t last, DType type, ReduceOp op) {
    parts_.clear();
    for (const std::byte* part : node_->sends()) parts_.push_back(part + first * size_of(type));
    reduce_parts(parts_, out + first * size_of(type), last - first, type, op);
  }

  // Registered memory of at least so many bytes. Collective: `room`, the same everywhere, is what there is so
  // far; `here`: this rank needs some, too.
  void grow(Buffer& buffer, size_t& room, size_t bytes, bool here) {
    if (room >= bytes) return;
    room = std::bit_ceil(bytes);
    buffer = node_->allocate(here ? room : 0);
  }

  void do_reduce_scatter(const void* send, void* receive, std::span<const size_t> bounds, DType type,
                         ReduceOp op) override {
    const size_t element = size_of(type), total = bounds.back();
    const ReduceOp sum = op == ReduceOp::average ? ReduceOp::sum : op;
    grow(gathered_, gathered_room_, total * element, is_first());
    NodeWish wish{.operation = NodeOperation::reduce_scatter, .count = total, .type = type, .op = op};
    wish.tells_memory = true;
    wish.send = send;
    wish.receive = gathered_.data();
    wish.send_bytes = total * element;
    wish.receive_bytes = is_first() ? total * element : 0;
    node_->meet(wish);
    if (!node_->all_registered()) {
      grow(own_, own_room_, total * element, true);
      copy_bytes(own_.data(), send, total * element);
      wish.send = own_.data();
      node_->meet(wish);
    }
    auto mine = static_cast<size_t>(node_->rank()), ranks = static_cast<size_t>(node_->size());
    size_t first = cut(total, mine, ranks), last = cut(total, mine + 1, ranks);
    if (first < last) reduce_slice(node_->receive_of(0), first, last, type, sum);
    node_->meet({});
    if (is_first() && total != 0) {
      if (seats_.in_blocks) {
        by_node(bounds);
        auto block = blocks_[static_cast<size_t>(seats_.node)] * element;
        between_->reduce_scatter(gathered_.data(), gathered_.data() + block, blocks_, type, sum);
      } else {
        between_->all_reduce(gathered_.data(), total, type, sum);
      }
    }
    node_->meet({});
    auto me = static_cast<size_t>(rank());
    size_t count = bounds[me + 1] - bounds[me];
    copy_bytes(receive, node_->receive_of(0) + bounds[me] * element, count * element);
    if (op == ReduceOp::average) divide(receive, count, type, size());
    node_->meet({});
  }

  void do_all_gather(const void* send, void* receive, std::span<const size_t> bounds, DType type) override {
    if (!seats_.in_blocks) return all_->all_gather(send, receive, bounds, type);
    const size_t element = size_of(type), total = bounds.back();
    auto me = static_cast<size_t>(rank());
    grow(gathered_, gathered_room_, total * element, is_first());
    NodeWish wish{.operation = NodeOperation::all_gather, .count = total, .type = type};
    wish.tells_memory = true;
    wish.send = wish.receive = gathered_.data();
    wish.send_bytes = wish.receive_bytes = is_first() ? total * element : 0;
    node_->meet(wish);
    std::byte* whole = node_->receive_of(0);
    copy_bytes(whole + bounds[me] * element, send, (bounds[me + 1] - bounds[me]) * element);
    node_->meet({});
    if (is_first() && total != 0) {
      by_node(bounds);
      auto block = blocks_[static_cast<size_t>(seats_.node)] * element;
      between_->all_gather(gathered_.data() + block, gathered_.data(), blocks_, type);
    }
    node_->meet({});
    copy_bytes(receive, whole, total * element);
    node_->meet({});
  }

  // blocks_: the bounds of the nodes, from those of the ranks.
  void by_node(std::span<const size_t> bounds) {
    blocks_.clear();
    for (size_t first : node_bounds_) blocks_.push_back(bounds[first]);
  }

  void do_broadcast(void* data, size_t bytes, int root) override {
    auto here = [&] {
      for (size_t n = 0; n < seats_.ranks_of_node.size(); ++n) {
        const std::vector<int>& ranks = seats_.ranks_of_node[n];
        if (std::find(ranks.begin(), ranks.end(), root) != ranks.end()) return static_cast<int>(n);
      }
      return 0;
    };
    const int root_node = here();
    NodeWish wish{.operation = NodeOperation::broadcast, .count = bytes, .root = root};
    wish.tells_memory = true;
    wish.send = wish.receive = staging_.data();
    wish.send_bytes = wish.receive_bytes = piece_bytes;
    for (size_t first = 0; first == 0 || first < bytes; first += piece_bytes) {
      size_t n = std::min(piece_bytes, bytes - first);
      node_->meet(wish);  // everybody has copied the piece before
      std::byte* piece = node_->receive_of(0);
      if (rank() == root) copy_bytes(piece, static_cast<std::byte*>(data) + first, n);
      node_->meet({});
      if (is_first() && n != 0) between_->broadcast(piece, n, root_node);
      node_->meet({});
      if (rank() != root) copy_bytes(static_cast<std::byte*>(data) + first, piece, n);
    }
    node_->meet({});
  }

  std::unique_ptr<Communicator> all_;
  Seats seats_;
  size_t leaders_;
  bool leads_ = false;
  std::unique_ptr<NodeGroup> node_;
  std::unique_ptr<Communicator>
      between_;                      // of the leaders of one number, one a node, by the nodes' first ranks
  std::vector<size_t> node_bounds_;  // first ranks of nodes, and the number of ranks
  Buffer staging_;                   // these three are registered
  Buffer gathered_;                  // on leader 0 alone
  Buffer own_;
  size_t gathered_room_ = 0;
  size_t own_room_ = 0;
  std::vector<const void*> parts_;  // scratch of one call
  std::vector<size_t> blocks_;
};

}  // namespace

std::unique_ptr<Communicator> make_hierarchical_communicator(std::unique_ptr<Communicator> all,
                                                             const std::vector<int>& node_of_rank,
                                                             int leaders,
                                                             std::shared_ptr<Activity> activity) {
  return std::make_unique<HierarchicalCommunicator>(std::move(all), node_of_rank, leaders,
                                                    std::move(activity));
}

}  // namespace trireme
