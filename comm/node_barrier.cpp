#include "comm/node_barrier.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <ctime>

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto spin_time = std::chrono::microseconds(5);
constexpr auto yield_time = std::chrono::microseconds(150);
constexpr timespec nap{0, 2'000'000};
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
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT, value, &nap, nullptr, 0);
}
void wake_all(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

NodeBarrier::NodeBarrier(int rank, std::vector<NodeFlags*> flags, bool crowded)
    : flags_(std::move(flags)), mine_(flags_[static_cast<size_t>(rank)]), crowded_(crowded) {}

void NodeBarrier::wake_sleepers(NodeFlags::Line& line) { wake_all(line.sequence); }

int NodeBarrier::wait() {
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
    uint32_t left = other.rare.left.load(std::memory_order_acquire);
    uint32_t value = flag.load(std::memory_order_acquire);
    arrived = value == sequence_;
    if (arrived || left != 0) break;
    sleep_while(flag, value);
  }
  other.rare.sleepers.fetch_sub(1, std::memory_order_seq_cst);
  return arrived;
}

// Who sleeps sees it after his nap.
void NodeBarrier::leave() { mine_->rare.left.store(1, std::memory_order_release); }

}  // namespace trireme
