#include "comm/run_main.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <exception>
#include <new>
#include <string_view>

#include <thread>

#include "base/error.h"
#include "comm/fabric.h"
#include "comm/fatal_signals.h"
#include "comm/mpi_communicator.h"
#include "comm/mpi_defaults.h"
#include "comm/world.h"

namespace trireme {
namespace {

// How long ranks other than 0 wait with their message. When all ranks raise the same error (a bad data file)
// rank 0's abort ends them within that time and the message stands once; an error of one rank alone is
// printed this much later.
constexpr std::chrono::milliseconds others_wait{300};
// How long a rank waits for the others to fail in the same way, where all do and there is no abort.
constexpr std::chrono::milliseconds alike_stay{300};
// srun kills upon an abort, and loses what it has not yet taken up of what was said before.
constexpr std::chrono::milliseconds words_stay{50};
// How long first the other nodes and then their other ranks wait with what their machine lacks: when rank 0's
// lacks it too, that is enough said.
constexpr std::chrono::milliseconds in_turn_wait{700};
// How long a rank that failed before MPI_Init waits for the others to come there.
constexpr std::chrono::seconds meeting_limit{10};

struct Failure {
  int code;
  std::string message;
  bool of_comm = false;
  bool of_fabric = false;
};

// To be called inside a handler.
Failure describe_current_exception() {
  try {
    throw;
  } catch (const FabricError& error) {
    return {static_cast<int>(error.code()), error.what(), false, true};
  } catch (const CommError& error) {
    return {static_cast<int>(error.code()), error.what(), true};
  } catch (const Error& error) {
    return {static_cast<int>(error.code()), error.what()};
  } catch (const std::bad_alloc&) {
    return {static_cast<int>(ExitCode::internal), "out of memory"};
  } catch (const std::exception& error) {
    return {static_cast<int>(ExitCode::internal), fmt::format("internal error: {}", error.what())};
  } catch (...) {
    return {static_cast<int>(ExitCode::internal), "internal error: an exception of unknown type"};
  }
}

// One write, so that lines of several ranks do not interleave; not through stdio, whose buffers may be in any
// state.
void print(std::string line) {
  line += '\n';
  std::string_view rest = line;
  while (!rest.empty()) {
    ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (written <= 0) return;
    rest.remove_prefix(static_cast<size_t>(written));
  }
}

// Sleeps, but no longer than until the launcher ends the job: returns whether it did.
bool sleep_unless_ended(std::chrono::nanoseconds time) {
  sigset_t terminate;
  sigemptyset(&terminate);
  sigaddset(&terminate, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &terminate, nullptr);
  timespec limit{time.count() / 1'000'000'000, time.count() % 1'000'000'000};
  return ::sigtimedwait(&terminate, nullptr, &limit) == SIGTERM;
}

// The message with who says it, unless it says so itself (CommError does).
std::string with_rank(const std::string& message, int rank) {
  std::string who = fmt::format("rank {} on {}: ", rank, host_name());
  return message.starts_with(who) ? message : who + message;
}

// After MPI_Init. Getting here meant unwinding the stack, and a destructor may have joined a thread that was
// in a collective. That cannot hang all failing ranks at once: collectives are called in one order, so of any
// set of failing ranks the one that is furthest behind has peers for everything that it began, gets here, and
// ends all the others.
int abort_job(const std::string& name, const Failure& failure, int rank, bool printed) {
  if (rank != 0) std::this_thread::sleep_for(others_wait);
  if (!printed) print(fmt::format("{}: error: {}", name, with_rank(failure.message, rank)));
  if (ranks_from_environment() == 1) ::_exit(failure.code);  // nobody is left to be ended
  std::this_thread::sleep_for(words_stay);
  MPI_Abort(MPI_COMM_WORLD, failure.code);
  ::_exit(failure.code);
}

// Before MPI_Init there is nothing to abort; the launcher ends the job on the first bad exit, by SIGTERM, and
// srun then reports that (143) instead of our code, and may lose the message.
int end_before_init(const std::string& name, const Failure& failure, int rank) {
  if (failure.of_fabric && ranks_from_environment() > 1) {
    // Everybody's trouble, one machine's or one rank's: rank 0 speaks, then the first rank of each node, then
    // the others, as long as the launcher has not ended the job upon what was said before.
    int turn = local_rank_from_environment() == 0 ? 1 : 2;
    if (rank != 0 && sleep_unless_ended(turn * in_turn_wait)) return failure.code;
    print(fmt::format("{}: error: {}", name, with_rank(failure.message, rank)));
    sleep_unless_ended(alike_stay);
    return failure.code;
  }
  if (rank == 0) print(fmt::format("{}: error: {}", name, failure.message));
  if (ranks_from_environment() == 1) return failure.code;
  // All ranks have the same command line and config, and fail alike: rank 0's message is enough, and all give
  // the same code as long as each gets there before the launcher ends it.
  if (failure.code == static_cast<int>(ExitCode::usage) ||
      failure.code == static_cast<int>(ExitCode::bad_config)) {
    sleep_unless_ended(alike_stay);
    return failure.code;
  }
  if (failure.of_comm) {  // MPI itself cannot start
    if (rank != 0) print(fmt::format("{}: error: {}", name, with_rank(failure.message, rank)));
    return failure.code;
  }
  // Anything else may be this rank's own trouble while the others are on their way into MPI_Init. Meet them
  // there, and then abort; should they not come, leave.
  std::thread([&] {
    std::this_thread::sleep_for(meeting_limit);
    if (rank != 0) print(fmt::format("{}: error: {}", name, with_rank(failure.message, rank)));
    ::_exit(failure.code);
  }).detach();
  Launch launch = launch_from_environment();
  set_mpi_defaults(launch);
  Fabric fabric(CommOptions{}, launch);
  int provided = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
  return abort_job(name, failure, rank, rank == 0);
}

int end_job(const std::string& name, const Failure& failure) {
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  int rank = rank_from_environment();
  if (!initialized) return end_before_init(name, failure, rank);
  if (!finalized) return abort_job(name, failure, rank, false);
  print(fmt::format("{}: error: {}", name, with_rank(failure.message, rank)));
  return failure.code;
}

}  // namespace

int run_main(const std::string& name, int argc, char** argv, const std::function<int(int, char**)>& body) {
  tell_fatal_signals(name);
  try {
    return body(argc, argv);
  } catch (...) {
    return end_job(name, describe_current_exception());
  }
}

int run_apart(const std::string& name, const std::function<int()>& work) {
  try {
    return work();
  } catch (...) {
    Failure failure = describe_current_exception();
    bool lone = ranks_from_environment() == 1;
    print(fmt::format("{}: error: {}", name,
                      lone ? failure.message : with_rank(failure.message, rank_from_environment())));
    return failure.code;
  }
}

}  // namespace trireme
