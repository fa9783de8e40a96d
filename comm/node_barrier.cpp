#include "comm/node_barrier.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <climits>

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto spin_time = std::chrono::microseconds(50);
constexpr auto yield_time = std::chrono::microseconds(150);
constexpr int polls_without_pause = 200;  // a pause takes as long as a cache line's way from core to core

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Shared futexes, keyed by the page and not by the address: ranks map the segment at different places.
void sleep_while(std::atomic<uint32_t>& word, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT, value, nullptr, nullptr, 0);
}
void wake_all(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

NodeBarrier::NodeBarrier(int rank, std::vector<NodeFlags*> flags, bool crowded)
    : flags_(std::move(flags)), mine_(flags_[static_cast<size_t>(rank)]), crowded_(crowded) {}

int NodeBarrier::meet(const NodePost& post) {
  ++sequence_;
  NodeFlags::Line& line = mine_->lines[sequence_ % 2];
  line.post = post;
  // The exchange orders the flag before the look at the sleepers: either a sleeper is seen here, or it sees
  // the flag before it sleeps.
  line.sequence.exchange(sequence_, std::memory_order_seq_cst);
  if (mine_->rare.sleepers.load(std::memory_order_seq_cst) != 0) wake_all(line.sequence);
  for (size_t r = 0; r < flags_.size(); ++r) {
    if (flags_[r] != mine_ && !wait_for(*flags_[r])) return static_cast<int>(r);
  }
  return -1;
}

// Equality is enough: nobody can be two meetings ahead.
bool NodeBarrier::wait_for(NodeFlags& other) {
  std::atomic<uint32_t>& flag = other.lines[sequence_ % 2].sequence;
  auto here = [&] { return flag.load(std::memory_order_acquire) == sequence_; };
  for (int i = 0; i < polls_without_pause; ++i) {
    if (here()) return true;
  }
  auto start = Clock::now();
  if (!crowded_) {
    do {
      for (int i = 0; i < 16; ++i) {
        if (here()) return true;
        pause();
      }
    } while (Clock::now() - start < spin_time);
  }
  do {
    if (here()) return true;
    sched_yield();
  } while (Clock::now() - start < yield_time);

  other.rare.sleepers.fetch_add(1, std::memory_order_seq_cst);
  bool arrived = false;
  for (;;) {
    uint32_t left = other.rare.left.load(std::memory_order_seq_cst);
    uint32_t value = flag.load(std::memory_order_seq_cst);
    arrived = value == sequence_;
    if (arrived || left != 0) break;
    sleep_while(flag, value);
  }
  other.rare.sleepers.fetch_sub(1, std::memory_order_seq_cst);
  return arrived;
}

// The flag that others sleep on stays as it is, so one who goes to sleep between the store and the wake would
// sleep on: the number of a meeting long past makes him look again.
void NodeBarrier::leave() {
  mine_->rare.left.store(1, std::memory_order_seq_cst);
  NodeFlags::Line& next = mine_->lines[(sequence_ + 1) % 2];
  next.sequence.exchange(sequence_ - 3, std::memory_order_seq_cst);
  wake_all(next.sequence);
}

}  // namespace trireme
