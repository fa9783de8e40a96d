// A job that goes wrong in the way its argument says; faults.cpp starts it and looks at how it ends.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "comm/run_main.h"
#include "comm/signals.h"
#include "comm/world.h"

namespace {

using namespace trireme;

// What a write beyond a block's end does: malloc comes upon a link that leads nowhere, and holds its lock then.
[[noreturn]] void crash_in_malloc() {
  StopSignals listening;  // a second thread: without one malloc takes no lock
  void* volatile before = std::malloc(5000);
  void* volatile freed = std::malloc(5000);
  void* volatile behind = std::malloc(5000);  // else what is freed would join what is free already
  std::free(freed);
  static_cast<void* volatile*>(freed)[1] = reinterpret_cast<void*>(8);  // the list's backward link
  freed = std::malloc(9000);
  std::free(before);
  std::free(behind);
  throw CommError("malloc has not noticed");
}

int body(int argc, char** argv) {
  std::string fault = argc > 1 ? argv[1] : "none";
  int culprit = argc > 2 ? std::stoi(argv[2]) : 0;
  if (fault == "config") throw ConfigError("run.toml:3:1: unknown key 'learning_rat'");
  if (fault == "before-init" && rank_from_environment() == culprit) throw IoError("/data: permission denied");

  if (fault == "all-before-init") throw IoError("/data: permission denied");

  if (fault == "late" && rank_from_environment() == culprit)
    std::this_thread::sleep_for(std::chrono::hours(1));

  std::optional<StopSignals> listening;
  if (fault == "signal") listening.emplace();
  CommOptions options;
  options.timeout_seconds = argc > 3 ? std::stod(argv[3]) : 60;
  if (argc > 4) options.backend = argv[4];
  World world(options);
  Communicator& all = world.communicator();
  float one = 1;
  all.all_reduce(&one, 1, DType::float32);
  if (one != static_cast<float>(world.size())) throw CommError("wrong sum");
  if (fault == "none") {
    if (world.rank() == 0) std::printf("ranks %d init %.3f\n", world.size(), world.init_seconds());
    return 0;
  }
  if (fault == "stopped") return static_cast<int>(ExitCode::stopped);
  if (fault == "all") throw DataError("train.h5: bad checksum");
  if (fault == "signal") {
    if (world.rank() == 0) std::fputs("ready\n", stderr);
    float stop = 0;
    while (stop == 0) {
      stop = stop_requested() ? 1.0f : 0.0f;
      all.all_reduce(&stop, 1, DType::float32, ReduceOp::max);
    }
    return static_cast<int>(ExitCode::stopped);
  }
  if (fault == "suspend") {  // all of it, as scontrol suspend does, for `culprit` seconds
    if (std::system(fmt::format("(sleep {}; kill -CONT {}) >/dev/null 2>&1 &", culprit, ::getpid()).c_str()))
      throw CommError("no shell");
    all.barrier();
    ::kill(::getpid(), SIGSTOP);
    for (int i = 0; i < 20; ++i) {
      all.barrier();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return 0;
  }
  all.activity().set_step(17);
  all.activity().set_resumable(fault == "freeze-resumable");
  if (world.rank() == culprit) {
    if (fault == "data") throw DataError("train.h5: bad checksum");
    if (fault == "memory") throw std::bad_alloc();
    if (fault == "unknown") throw 17;
    if (fault == "comm") all.broadcast(nullptr, 0, 99);
    if (fault == "kill") ::raise(SIGKILL);
    if (fault == "freeze" || fault == "freeze-resumable") ::raise(SIGSTOP);
    if (fault == "dawdle") {  // alive, but never comes
      all.activity().begin_phase("dawdling");
      std::this_thread::sleep_for(std::chrono::hours(1));
    }
    if (fault == "leave") return 0;  // in good order, while the others wait
    if (fault == "crash") ::abort();
    if (fault == "crash-in-malloc") crash_in_malloc();
    if (fault == "call-of-nothing") {
      void (*volatile nothing)(Communicator&) = nullptr;
      nothing(all);
    }
    if (fault == "thread") {
      // A thread of ours waits in a collective that the others never come to, and unwinding joins it: the
      // case of a strategy with a communication thread. The others fail a moment later and end the job.
      struct Join {
        std::thread thread;
        ~Join() { thread.join(); }
      };
      Join join{std::thread([&] { all.barrier(); })};
      throw DataError("train.h5: bad checksum");
    }
  }
  if (fault == "thread") {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    throw DataError("train.h5: bad checksum");
  }
  // The others wait in a collective that cannot complete.
  std::vector<float> data(1 << 16);
  for (;;) all.all_reduce(data.data(), data.size(), DType::float32);
}

}  // namespace

int main(int argc, char** argv) { return trireme::run_main("trireme-faulty", argc, argv, body); }
