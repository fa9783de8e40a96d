// A collective among threads: every rank posts what it wants and where its memory is, all meet, all check
// that they want the same, each does its share of the work reading the others' memory, all meet again before
// anybody may touch its memory. Two meetings a collective, no copies of the payload.
#include "comm/thread_ranks.h"

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <tuple>
#include <vector>

#include "base/error.h"

namespace trireme {
namespace {

// What all groups of one run_ranks share: one lock for everything, and who has failed or left.
struct Session {
  explicit Session(int ranks) : left(static_cast<size_t>(ranks), false) {}
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<bool> left;  // by rank of the whole session
  std::exception_ptr failure;
  int failed_rank = -1;
  std::string failure_message;

  void fail(int rank, std::exception_ptr error, const std::string& message) {
    std::lock_guard lock(mutex);
    if (!failure) {
      failure = std::move(error);
      failed_rank = rank;
      failure_message = message;
    }
    left[static_cast<size_t>(rank)] = true;
    changed.notify_all();
  }
  void leave(int rank) {
    std::lock_guard lock(mutex);
    left[static_cast<size_t>(rank)] = true;
    changed.notify_all();
  }
};

// What one rank wants of a collective; all ranks must want the same.
struct Wish {
  const char* operation = "";
  size_t count = 0;
  DType type = DType::uint8;
  ReduceOp op = ReduceOp::sum;
  int root = 0;
  bool operator==(const Wish& other) const {
    return std::strcmp(operation, other.operation) == 0 && count == other.count && type == other.type &&
           op == other.op && root == other.root;
  }
  std::string to_string() const {
    return fmt::format("{}({} x {}, {}, root {})", operation, count, name_of(type),
                       op == ReduceOp::sum ? "sum" : "max", root);
  }
};

struct Group;

struct Post {
  Wish wish;
  void* data = nullptr;
  int color = 0;
  int key = 0;
  std::shared_ptr<Group> child;
};

struct Group {
  Group(std::shared_ptr<Session> the_session, std::vector<int> the_members)
      : session(std::move(the_session)),
        members(std::move(the_members)),
        posts(members.size()),
        here(members.size(), false) {}

  std::shared_ptr<Session> session;
  std::vector<int> members;  // rank of the whole session, by rank of this group
  std::vector<Post> posts;
  std::vector<bool> here;
  size_t arrived = 0;
  uint64_t meeting = 0;

  // Returns when every member is here. Throws CommError when that can no longer happen.
  void meet(size_t rank, const char* operation) {
    std::unique_lock lock(session->mutex);
    auto give_up = [&](const std::string& why) {
      throw CommError("rank {} of {} (threads): {} cannot complete: {}", rank, members.size(), operation,
                      why);
    };
    auto look = [&] {
      if (session->failure) {
        give_up(fmt::format("rank {} failed: {}", session->failed_rank, session->failure_message));
      }
      for (size_t other = 0; other < members.size(); ++other) {
        int global = members[other];
        if (!here[other] && session->left[static_cast<size_t>(global)]) {
          give_up(fmt::format("rank {} has returned without it", global));
        }
      }
    };
    if (session->failure) look();
    here[rank] = true;
    if (++arrived == members.size()) {
      arrived = 0;
      std::fill(here.begin(), here.end(), false);
      ++meeting;
      session->changed.notify_all();
      return;
    }
    uint64_t current = meeting;
    while (meeting == current) {
      look();
      session->changed.wait(lock);
    }
  }
};

template <class T>
T combine(T a, T b, ReduceOp op) {
  return op == ReduceOp::sum ? static_cast<T>(a + b) : std::max(a, b);
}

template <class F>
void with_type(DType type, F&& body) {
  switch (type) {
    case DType::float32:
      return body(float{});
    case DType::float64:
      return body(double{});
    case DType::int32:
      return body(int32_t{});
    case DType::int64:
      return body(int64_t{});
    case DType::uint8:
      return body(uint8_t{});
    case DType::uint16:
      return body(uint16_t{});
    case DType::bfloat16:
    case DType::float16:
      throw CommError("there are no reductions of {}; sum in float32", name_of(type));
  }
}

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<Group> group, size_t rank) : group_(std::move(group)), rank_(rank) {}

  int rank() const override { return static_cast<int>(rank_); }
  int size() const override { return static_cast<int>(group_->members.size()); }
  std::string name() const override { return "threads"; }

  void all_reduce(void* data, size_t count, DType type, ReduceOp op) override {
    begin({"all_reduce", count, type, op, 0}, data);
    with_type(type, [&](auto zero) {
      using T = decltype(zero);
      // Rank r reduces the r-th slice of everybody's memory and writes the result to everybody: slices are
      // disjoint, and the order within an element is rank 0, 1, 2, ... whoever does it.
      size_t ranks = ranks_();
      size_t first = count * rank_ / ranks;
      size_t last = count * (rank_ + 1) / ranks;
      for (size_t i = first; i < last; ++i) {
        T sum = memory<T>(0)[i];
        for (size_t r = 1; r < ranks; ++r) sum = combine(sum, memory<T>(r)[i], op);
        for (size_t r = 0; r < ranks; ++r) memory<T>(r)[i] = sum;
      }
    });
    end("all_reduce");
  }

  void all_gather(const void* send, size_t count, DType type, void* receive) override {
    begin({"all_gather", count, type, ReduceOp::sum, 0}, const_cast<void*>(send));
    size_t bytes = count * size_of(type);
    for (size_t r = 0; r < ranks_(); ++r) {
      std::byte* to = static_cast<std::byte*>(receive) + r * bytes;
      const std::byte* from = memory<std::byte>(r);
      if (bytes != 0 && to != from) std::memmove(to, from, bytes);
    }
    end("all_gather");
  }

  void reduce_scatter(const void* send, void* receive, size_t count, DType type, ReduceOp op) override {
    begin({"reduce_scatter", count, type, op, 0}, const_cast<void*>(send));
    with_type(type, [&](auto zero) {
      using T = decltype(zero);
      T* to = static_cast<T*>(receive);
      size_t offset = rank_ * count;
      // `receive` may be this rank's own block of `send`: nobody else reads that one.
      for (size_t i = 0; i < count; ++i) {
        T sum = memory<T>(0)[offset + i];
        for (size_t r = 1; r < ranks_(); ++r) sum = combine(sum, memory<T>(r)[offset + i], op);
        to[i] = sum;
      }
    });
    end("reduce_scatter");
  }

  void broadcast(void* data, size_t bytes, int root) override {
    if (root < 0 || root >= size()) {
      throw CommError("rank {} (threads): broadcast: there is no rank {} in a group of {}", rank_, root,
                      size());
    }
    begin({"broadcast", bytes, DType::uint8, ReduceOp::sum, root}, data);
    size_t source = static_cast<size_t>(root);
    if (rank_ != source && bytes != 0) std::memcpy(data, memory<std::byte>(source), bytes);
    end("broadcast");
  }

  void barrier() override { begin({"barrier", 0, DType::uint8, ReduceOp::sum, 0}, nullptr), end("barrier"); }

  std::unique_ptr<Communicator> split(int color, int key) override {
    Post& mine = group_->posts[rank_];
    mine.color = color;
    mine.key = key;
    begin({"split", 0, DType::uint8, ReduceOp::sum, 0}, nullptr);
    std::vector<std::tuple<int, size_t>> order;  // key, rank here
    for (size_t r = 0; r < ranks_(); ++r) {
      if (group_->posts[r].color == color) order.emplace_back(group_->posts[r].key, r);
    }
    std::sort(order.begin(), order.end());
    size_t leader = std::get<1>(order.front());
    size_t my_rank = 0;
    std::vector<int> members;
    for (size_t r = 0; r < order.size(); ++r) {
      size_t here = std::get<1>(order[r]);
      if (here == rank_) my_rank = r;
      members.push_back(group_->members[here]);
    }
    if (rank_ == leader) mine.child = std::make_shared<Group>(group_->session, std::move(members));
    group_->meet(rank_, "split");
    std::shared_ptr<Group> child = group_->posts[leader].child;
    end("split");
    mine.child.reset();
    return std::make_unique<ThreadCommunicator>(std::move(child), my_rank);
  }

 private:
  size_t ranks_() const { return group_->members.size(); }
  template <class T>
  T* memory(size_t rank) {
    return static_cast<T*>(group_->posts[rank].data);
  }

  void begin(const Wish& wish, void* data) {
    group_->posts[rank_].wish = wish;
    group_->posts[rank_].data = data;
    group_->meet(rank_, wish.operation);
    for (size_t r = 0; r < ranks_(); ++r) {
      const Wish& other = group_->posts[r].wish;
      if (!(other == wish)) {
        throw CommError("rank {} of {} (threads): ranks disagree: {} here, {} on rank {}", rank_, ranks_(),
                        wish.to_string(), other.to_string(), r);
      }
    }
  }
  void end(const char* operation) { group_->meet(rank_, operation); }

  std::shared_ptr<Group> group_;
  size_t rank_;
};

}  // namespace

void run_ranks(int ranks, const std::function<void(Communicator&)>& body) {
  if (ranks < 1) throw CommError("run_ranks: {} ranks asked for, at least 1 is needed", ranks);
  auto session = std::make_shared<Session>(ranks);
  std::vector<int> everybody(static_cast<size_t>(ranks));
  for (int r = 0; r < ranks; ++r) everybody[static_cast<size_t>(r)] = r;
  auto group = std::make_shared<Group>(session, everybody);

  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(ranks));
  for (int r = 0; r < ranks; ++r) {
    threads.emplace_back([&, r] {
      try {
        ThreadCommunicator communicator(group, static_cast<size_t>(r));
        body(communicator);
        session->leave(r);
      } catch (const std::exception& error) {
        session->fail(r, std::current_exception(), error.what());
      } catch (...) {
        session->fail(r, std::current_exception(), "an unknown exception");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (session->failure) std::rethrow_exception(session->failure);
}

}  // namespace trireme
