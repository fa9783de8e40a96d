#include "comm/signals.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "comm/world.h"

namespace trireme {
namespace {

// A process gets signals, not an object: the one place where the house has static storage.
std::atomic<int> received{0};

sigset_t stop_set() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGTERM, SIGUSR1, SIGINT}) sigaddset(&set, signal);
  return set;
}

void note(int signal) {
  int former = received.exchange(signal, std::memory_order_relaxed);
  if (signal != SIGINT || former != SIGINT) return;
  std::signal(SIGINT, SIG_DFL);
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);
  ::kill(::getpid(), SIGINT);
}

}  // namespace

StopSignals::StopSignals() {
  received.store(0, std::memory_order_relaxed);
  sigset_t set = stop_set();
  pthread_sigmask(SIG_BLOCK, &set, &former_mask_);
  signals_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  wake_ = ::eventfd(0, EFD_CLOEXEC);
  if (signals_ < 0 || wake_ < 0) {
    throw CommError("rank {} on {}: cannot listen for signals: {}", rank_from_environment(), host_name(),
                    std::strerror(errno));
  }
  thread_ = std::thread([this] { listen(); });
}

void StopSignals::listen() {
  std::array<pollfd, 2> descriptors{{{signals_, POLLIN, 0}, {wake_, POLLIN, 0}}};
  while (true) {
    ::poll(descriptors.data(), descriptors.size(), -1);
    signalfd_siginfo info{};  // what came before the destructor counts, even if both are seen together
    while (::read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      note(static_cast<int>(info.ssi_signo));
    }
    if (descriptors[1].revents != 0) return;
  }
}

StopSignals::~StopSignals() {
  uint64_t one = 1;
  [[maybe_unused]] ssize_t written = ::write(wake_, &one, sizeof one);
  thread_.join();
  ::close(signals_);
  ::close(wake_);
  // Launchers deliver twice (scancel to the tasks, and srun passing on its own copy), and in both ways (USR1 before the
  // time limit, TERM at it). Once one was heeded, no other may kill what is about to end well.
  int came = received.load(std::memory_order_relaxed);
  if (came != 0 && came != SIGINT) {
    for (int signal : {SIGTERM, SIGUSR1}) {
      struct sigaction former {};
      ::sigaction(signal, nullptr, &former);
      if (former.sa_handler == SIG_DFL) std::signal(signal, SIG_IGN);
    }
  }
  pthread_sigmask(SIG_SETMASK, &former_mask_, nullptr);
  received.store(0, std::memory_order_relaxed);
}

bool stop_requested() { return received.load(std::memory_order_relaxed) != 0; }

int stop_signal() { return received.load(std::memory_order_relaxed); }

}  // namespace trireme
