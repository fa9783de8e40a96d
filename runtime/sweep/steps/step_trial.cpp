#include "sweep/steps/step_trial.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/atomic_file.h"
#include "base/descriptor.h"
#include "base/error.h"
#include "comm/signals.h"
#include "comm/world.h"
#include "sweep/letters.h"
#include "sweep/runner.h"
#include "train/comm_options.h"
#include "train/placement.h"

namespace trireme {
namespace {

Descriptor checked(int descriptor, const char* what) {
  if (descriptor < 0) throw IoError("{}: {}", what, std::strerror(errno));
  return Descriptor(descriptor);
}

// Standard input and output, put aside: what a library prints goes to standard error, and what it reads is
// nothing.
struct StandardLine {
  Descriptor input = checked(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), "standard input");
  Descriptor output = checked(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3), "standard output");

  StandardLine() {
    Descriptor nothing = checked(::open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null");
    if (::dup2(nothing.get(), STDIN_FILENO) < 0 || ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
      throw IoError("standard input and output: {}", std::strerror(errno));
    }
    // To write to a sweep that has died is no reason to die.
    ::signal(SIGPIPE, SIG_IGN);
  }
};

// The talk with the sweep, of rank 0: a thread listens.
class SweepLine {
 public:
  SweepLine(Descriptor input, Descriptor output)
      : input_(std::move(input)),
        output_(std::move(output)),
        wake_(checked(::eventfd(0, EFD_CLOEXEC), "an eventfd")),
        thread_([this] { listen(); }) {}
  ~SweepLine() {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t written = ::write(wake_.get(), &one, sizeof one);
    thread_.join();
  }
  SweepLine(const SweepLine&) = delete;
  SweepLine& operator=(const SweepLine&) = delete;

  // Whether the trial is to save its state and to end: the sweep says so, or has died.
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }

  void tell(const SweepLetter& letter) {
    std::string text = to_text(letter) + "\n";
    std::string_view rest = text;
    while (!rest.empty()) {
      ssize_t written = ::write(output_.get(), rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return lose_sweep();
      rest.remove_prefix(static_cast<size_t>(written));
    }
  }

  // Throws CommError when the sweep has died before it answered: a state that is saved from here on would lie
  // behind a validation that nobody has heard of, and nobody would ever.
  Verdict ask(int64_t trial, const TrialMeasure& measure) {
    tell(ReportLetter{trial, measure});
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return verdict_ || gone_; });
    std::optional<Verdict> verdict = std::exchange(verdict_, std::nullopt);
    if (!verdict) {
      throw CommError(
          "the sweep has died and has not heard of epoch {} of trial {}: it goes on from the last "
          "checkpoint before",
          measure.epoch, trial);
    }
    return *verdict;
  }

 private:
  void listen() {
    std::string received;
    std::array<char, 4096> buffer;
    std::array<pollfd, 2> descriptors{{{input_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
    while (true) {
      if (::poll(descriptors.data(), descriptors.size(), -1) < 0) continue;
      if (descriptors[1].revents != 0) return;
      ssize_t bytes = ::read(input_.get(), buffer.data(), buffer.size());
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes <= 0) return lose_sweep();
      received.append(buffer.data(), static_cast<size_t>(bytes));
      for (size_t end; (end = received.find('\n')) != std::string::npos; received.erase(0, end + 1)) {
        if (!hear(received.substr(0, end))) return lose_sweep();
      }
    }
  }

  bool hear(const std::string& line) {
    try {
      SweepLetter letter = sweep_letter(line);
      if (std::holds_alternative<StopLetter>(letter)) stopping_ = true;
      if (auto* verdict = std::get_if<VerdictLetter>(&letter)) {
        std::lock_guard lock(mutex_);
        verdict_ = std::move(verdict->verdict);
      }
      changed_.notify_all();
      return true;
    } catch (const CommError& error) {
      fmt::print(stderr, "trireme-sweep trial: {}\n", error.what());
      return false;
    }
  }

  void lose_sweep() {
    stopping_ = true;
    {
      std::lock_guard lock(mutex_);
      gone_ = true;
    }
    changed_.notify_all();
  }

  Descriptor input_;
  Descriptor output_;
  Descriptor wake_;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Verdict> verdict_;
  bool gone_ = false;
  std::thread thread_;
};

// What ranks talk by. Keys that are wrong are the training's to tell, in its end.
CommOptions network_of(const std::string& config) {
  try {
    return comm_options(parse_config(config, "trial.toml").comm);
  } catch (const ConfigError&) {
    return {};
  }
}

}  // namespace

void run_step_trial(const StepTrial& trial) {
  TrialOrder order;
  order.trial = trial.number;
  order.config = read_file(trial.config);
  order.run_directory = trial.run_directory.string();

  StopSignals signals;
  StandardLine standard;
  World world(network_of(order.config));
  Communicator& group = world.communicator();
  std::unique_ptr<SweepLine> line;
  if (group.rank() == 0) {
    line = std::make_unique<SweepLine>(std::move(standard.input), std::move(standard.output));
    line->tell(ReadyLetter{});
  }
  Placement place = place_ranks(group);
  int sharers = place.core_sharers;
  if (trial.cores > 0) sharers = std::max(sharers, (place.cores + trial.cores - 1) / trial.cores);
  TrialEnd end = make_training_runner(sharers)(
      order, group, [&](const TrialMeasure& measure) { return line->ask(order.trial, measure); }, nullptr,
      [&] { return stop_requested() || (line && line->stopping()); });
  if (line) line->tell(EndLetter{.trial = order.trial, .end = end});
}

}  // namespace trireme
