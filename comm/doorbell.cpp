#include "comm/doorbell.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

#include "base/error.h"

namespace trireme {

Doorbells::Doorbells(Communicator& node) : rank_(node.rank()) {
  try {
    segment_ = std::make_unique<SharedSegment>(node, channels * sizeof(Bell));
  } catch (const CommError&) {  // on all ranks alike
    own_ = std::vector<Bell>(channels);
  }
}

Doorbells::Bell& Doorbells::bell(int peer, int channel) const {
  auto* bells = segment_ ? reinterpret_cast<Bell*>(segment_->part(peer)) : const_cast<Bell*>(own_.data());
  return bells[channel];
}

void Doorbells::ring(int peer, int channel) {
  Bell& one = bell(peer, channel);
  // In one order for all: either we see the sleeper, or the sleeper sees the ring and does not fall asleep.
  one.rings.fetch_add(1, std::memory_order_seq_cst);
  if (one.sleepers.load(std::memory_order_seq_cst) == 0) return;
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&one.rings), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

uint32_t Doorbells::rings(int channel) const {
  return bell(rank_, channel).rings.load(std::memory_order_seq_cst);
}

void Doorbells::sleep(int channel, uint32_t rings, double seconds) {
  if (seconds <= 0) return;
  Bell& one = bell(rank_, channel);
  timespec nap{};
  nap.tv_sec = static_cast<time_t>(seconds);
  nap.tv_nsec = static_cast<long>((seconds - static_cast<double>(nap.tv_sec)) * 1e9);
  one.sleepers.fetch_add(1, std::memory_order_seq_cst);
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&one.rings), FUTEX_WAIT, rings, &nap, nullptr, 0);
  one.sleepers.fetch_sub(1, std::memory_order_seq_cst);
}

}  // namespace trireme
