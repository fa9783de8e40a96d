// A collective among threads: every rank posts what it wants and where its memory is, all meet, all check
// that they want the same, each does its share of the work reading the others' memory, all meet again before
// anybody may touch its memory. Two meetings a collective, no copies of the payload.
#include "comm/thread_ranks.h"

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "comm/local_letters.h"
#include "comm/reduce.h"

namespace trireme {
namespace {

struct Group;

// A group that not all of its members have come to yet.
struct ComingGroup {
  std::shared_ptr<Group> group;
  std::vector<int> missing;
};

// What all groups of one run_ranks share: one lock for everything, and who has failed or left.
struct Session {
  explicit Session(int ranks) : left(static_cast<size_t>(ranks), false) {}
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<bool> left;                                      // by rank of the whole session
  std::map<std::vector<int>, std::deque<ComingGroup>> coming;  // by members, in the order of their making
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
                       op == ReduceOp::sum   ? "sum"
                       : op == ReduceOp::max ? "max"
                                             : "average",
                       root);
  }
};

struct Post {
  Wish wish;
  const void* send = nullptr;
  void* receive = nullptr;
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

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<Group> group, size_t rank) : group_(std::move(group)), rank_(rank) {}

  int rank() const override { return static_cast<int>(rank_); }
  int size() const override { return static_cast<int>(group_->members.size()); }
  std::string name() const override { return "threads"; }

 private:
  void do_all_reduce(const void* send, void* receive, size_t count, DType type, ReduceOp op) override {
    begin({"all_reduce", count, type, op, 0}, send, receive);
    // Rank r reduces the r-th slice of everybody's memory and writes the result to everybody: slices are
    // disjoint, and the order within an element is the tree's whoever does it.
    size_t first = count * rank_ / ranks_();
    size_t last = count * (rank_ + 1) / ranks_();
    size_t bytes = (last - first) * size_of(type);
    std::byte* own = static_cast<std::byte*>(receive) + first * size_of(type);
    if (bytes != 0) {
      reduce_parts(parts_at(first * size_of(type)), own, last - first, type, op);
      for (const Post& post : group_->posts) {
        std::byte* to = static_cast<std::byte*>(post.receive) + first * size_of(type);
        if (to != own) std::memcpy(to, own, bytes);
      }
    }
    end("all_reduce");
  }

  void do_all_gather(const void* send, void* receive, std::span<const size_t> bounds, DType type) override {
    begin({"all_gather", bounds.back(), type, ReduceOp::sum, 0}, send, receive);
    for (size_t r = 0; r < ranks_(); ++r) {
      size_t bytes = (bounds[r + 1] - bounds[r]) * size_of(type);
      std::byte* to = static_cast<std::byte*>(receive) + bounds[r] * size_of(type);
      const void* from = group_->posts[r].send;
      if (bytes != 0 && to != from) std::memmove(to, from, bytes);
    }
    end("all_gather");
  }

  void do_reduce_scatter(const void* send, void* receive, std::span<const size_t> bounds, DType type,
                         ReduceOp op) override {
    begin({"reduce_scatter", bounds.back(), type, op, 0}, send, receive);
    // `receive` may be this rank's own block of `send`: nobody else reads that one.
    size_t count = bounds[rank_ + 1] - bounds[rank_];
    if (count != 0) reduce_parts(parts_at(bounds[rank_] * size_of(type)), receive, count, type, op);
    end("reduce_scatter");
  }

  void do_broadcast(void* data, size_t bytes, int root) override {
    begin({"broadcast", bytes, DType::uint8, ReduceOp::sum, root}, data, data);
    size_t source = static_cast<size_t>(root);
    if (rank_ != source && bytes != 0) std::memcpy(data, group_->posts[source].send, bytes);
    end("broadcast");
  }

  void do_barrier() override {
    begin({"barrier", 0, DType::uint8, ReduceOp::sum, 0}, nullptr, nullptr);
    end("barrier");
  }

  std::unique_ptr<Communicator> do_split(int color, int key) override {
    Post& mine = group_->posts[rank_];
    mine.color = color;
    mine.key = key;
    begin({"split", 0, DType::uint8, ReduceOp::sum, 0}, nullptr, nullptr);
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

  size_t ranks_() const { return group_->members.size(); }
  // Everybody's `send`, this many bytes into it.
  std::span<const void* const> parts_at(size_t offset) {
    parts_.clear();
    for (const Post& post : group_->posts)
      parts_.push_back(static_cast<const std::byte*>(post.send) + offset);
    return parts_;
  }

  void begin(const Wish& wish, const void* send, void* receive) {
    group_->posts[rank_].wish = wish;
    group_->posts[rank_].send = send;
    group_->posts[rank_].receive = receive;
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
  std::vector<const void*> parts_;
};

class ThreadGroups final : public GroupMaker {
 public:
  ThreadGroups(std::shared_ptr<Session> session, int rank)
      : session_(std::move(session)), rank_(rank), nodes_(session_->left.size(), 0) {}

  const std::vector<int>& nodes() const override { return nodes_; }
  std::unique_ptr<Communicator> make(const std::vector<int>& ranks) override {
    check_group(ranks, rank_, static_cast<int>(nodes_.size()));
    if (ranks.size() == 1) return make_self_communicator();
    std::shared_ptr<Group> group = come_to(ranks);
    auto own = static_cast<size_t>(std::lower_bound(ranks.begin(), ranks.end(), rank_) - ranks.begin());
    group->meet(own, "making a group");
    return std::make_unique<ThreadCommunicator>(std::move(group), own);
  }

 private:
  // The n-th group of these ranks that a rank makes is the n-th of the others.
  std::shared_ptr<Group> come_to(const std::vector<int>& ranks) {
    std::lock_guard lock(session_->mutex);
    std::deque<ComingGroup>& coming = session_->coming[ranks];
    auto mine = std::find_if(coming.begin(), coming.end(), [&](const ComingGroup& one) {
      return std::find(one.missing.begin(), one.missing.end(), rank_) != one.missing.end();
    });
    if (mine == coming.end()) {
      coming.push_back({std::make_shared<Group>(session_, ranks), ranks});
      mine = std::prev(coming.end());
    }
    std::shared_ptr<Group> group = mine->group;
    std::erase(mine->missing, rank_);
    if (mine->missing.empty()) coming.erase(mine);
    return group;
  }

  std::shared_ptr<Session> session_;
  int rank_;
  std::vector<int> nodes_;
};

// body(rank) on a thread each; rethrows the first exception.
void run_threads(const std::shared_ptr<Session>& session, const std::function<void(int)>& body) {
  auto ranks = static_cast<int>(session->left.size());
  std::vector<std::thread> threads;
  threads.reserve(session->left.size());
  for (int r = 0; r < ranks; ++r) {
    threads.emplace_back([&, r] {
      try {
        body(r);
        session->leave(r);
      } catch (const std::exception& error) {
        session->fail(r, std::current_exception(), error.what());
      } catch (...) {
        session->fail(r, std::current_exception(), "an unknown exception");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  session->coming.clear();  // groups that somebody never came to hold the session
  if (session->failure) std::rethrow_exception(session->failure);
}

std::shared_ptr<Session> make_session(int ranks, const char* caller) {
  if (ranks < 1) throw CommError("{}: {} ranks asked for, at least 1 is needed", caller, ranks);
  return std::make_shared<Session>(ranks);
}

}  // namespace

void run_ranks(int ranks, const std::function<void(Communicator&)>& body) {
  auto session = make_session(ranks, "run_ranks");
  std::vector<int> everybody(static_cast<size_t>(ranks));
  std::iota(everybody.begin(), everybody.end(), 0);
  auto group = std::make_shared<Group>(session, everybody);
  run_threads(session, [&](int rank) {
    ThreadCommunicator communicator(group, static_cast<size_t>(rank));
    body(communicator);
  });
}

void run_meeting_ranks(int ranks, const std::function<void(Meeting&)>& body) {
  auto session = make_session(ranks, "run_meeting_ranks");
  auto letters = std::make_shared<LocalLetters>(ranks);
  run_threads(session, [&](int rank) {
    // Who waits for a letter is woken after the failure has been put down: what that one then throws is none.
    auto fail = [&](const std::string& message) {
      session->fail(rank, std::current_exception(), message);
      letters->fail(rank, message);
    };
    try {
      Meeting meeting;
      meeting.rank = rank;
      meeting.size = ranks;
      meeting.mailbox = [&letters, rank](int channel) { return make_local_mailbox(letters, rank, channel); };
      meeting.groups = std::make_unique<ThreadGroups>(session, rank);
      body(meeting);
      letters->leave(rank);
    } catch (const std::exception& error) {
      fail(error.what());
      throw;
    } catch (...) {
      fail("an unknown exception");
      throw;
    }
  });
}

}  // namespace trireme
