#include "comm/signals.h"

#include <atomic>

namespace trireme {
namespace {

// A signal handler can reach nothing but static storage: the one place where the house has some.
std::atomic<int> received{0};
static_assert(std::atomic<int>::is_always_lock_free);

void note(int signal) {
  int former = received.exchange(signal, std::memory_order_relaxed);
  if (signal == SIGINT && former == SIGINT) {
    // Both calls are async-signal-safe; the signal is delivered when the handler returns.
    struct sigaction act {};
    act.sa_handler = SIG_DFL;
    ::sigaction(SIGINT, &act, nullptr);
    ::raise(SIGINT);
  }
}

}  // namespace

StopSignals::StopSignals() {
  received.store(0, std::memory_order_relaxed);
  for (size_t i = 0; i < signals_.size(); ++i) {
    struct sigaction act {};
    act.sa_handler = note;
    act.sa_flags = SA_RESTART;
    sigemptyset(&act.sa_mask);
    ::sigaction(signals_[i], &act, &former_[i]);
  }
}

StopSignals::~StopSignals() {
  int came = received.load(std::memory_order_relaxed);
  for (size_t i = 0; i < signals_.size(); ++i) {
    // Launchers deliver twice (scancel to the tasks, and srun passing on its own copy). The one that was
    // heeded must not kill by its second copy what is about to end well.
    bool heeded = came == signals_[i] && came != SIGINT && former_[i].sa_handler == SIG_DFL;
    if (heeded) former_[i].sa_handler = SIG_IGN;
    ::sigaction(signals_[i], &former_[i], nullptr);
  }
  received.store(0, std::memory_order_relaxed);
}

bool stop_requested() { return received.load(std::memory_order_relaxed) != 0; }

int stop_signal() { return received.load(std::memory_order_relaxed); }

}  // namespace trireme
