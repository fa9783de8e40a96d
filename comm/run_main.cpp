#include "comm/run_main.h"

#include <unistd.h>

#include <chrono>
#include <exception>
#include <new>
#include <string_view>
#include <thread>

#include "base/error.h"
#include "comm/mpi_communicator.h"
#include "comm/world.h"

namespace trireme {
namespace {

// How long ranks other than 0 wait with their message. When all ranks raise the same error (a bad data file)
// rank 0's abort ends them within that time and the message stands once; an error of one rank alone is
// printed this much later.
constexpr std::chrono::milliseconds others_wait{300};

struct Failure {
  int code;
  std::string message;
};

// To be called inside a handler.
Failure describe_current_exception() {
  try {
    throw;
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

// The message with who says it, unless it says so itself (CommError does).
std::string with_rank(const std::string& message, int rank) {
  std::string who = fmt::format("rank {} on {}: ", rank, host_name());
  return message.starts_with(who) ? message : who + message;
}

// Getting here meant unwinding the stack, and a destructor may have joined a thread that was in a collective.
// That cannot hang all failing ranks at once: collectives are called in one order, so of any set of failing
// ranks the one that is furthest behind has peers for everything that it began, gets here, and ends all the
// others.
int end_job(const std::string& name, const Failure& failure) {
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  int rank = rank_from_environment();
  if (!initialized || finalized) {
    // Every rank has the same command line and config, so rank 0's message is enough; anything else may be
    // one rank's own trouble. The others wait even when they are silent: mpirun and srun -K1 end the whole
    // job on the first bad exit, which must not come before rank 0 has spoken.
    bool alike = failure.code == static_cast<int>(ExitCode::usage) ||
                 failure.code == static_cast<int>(ExitCode::bad_config);
    if (rank != 0) std::this_thread::sleep_for(others_wait);
    if (rank == 0) {
      print(fmt::format("{}: error: {}", name, failure.message));
    } else if (!alike) {
      print(fmt::format("{}: error: {}", name, with_rank(failure.message, rank)));
    }
    return failure.code;
  }
  if (rank != 0) std::this_thread::sleep_for(others_wait);
  print(fmt::format("{}: error: {}", name, with_rank(failure.message, rank)));
  MPI_Abort(MPI_COMM_WORLD, failure.code);
  ::_exit(failure.code);
}

}  // namespace

int run_main(const std::string& name, int argc, char** argv, const std::function<int(int, char**)>& body) {
  try {
    return body(argc, argv);
  } catch (...) {
    return end_job(name, describe_current_exception());
  }
}

}  // namespace trireme
