#include "base/program_output.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <thread>

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> result;
  for (const std::string& word : words) result.push_back(const_cast<char*>(word.c_str()));
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> environment_with(const std::vector<std::string>& more) {
  std::vector<std::string> all = more;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    std::string_view name(*variable, std::string_view(*variable).find('=') + 1);
    bool replaced =
        std::any_of(more.begin(), more.end(), [name](const auto& m) { return m.starts_with(name); });
    if (!replaced) all.emplace_back(*variable);
  }
  return all;
}

// Its process id, or -1. Its signals are as a shell's child would have them, whatever this thread blocks.
pid_t start(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
            int output) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<std::string> variables = environment_with(environment);
  pid_t child = -1;
  int failed = ::posix_spawnp(&child, arguments.front().c_str(), &actions, &attributes,
                              pointers(arguments).data(), pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return failed != 0 ? -1 : child;
}

// All that comes until the end of the pipe; false where that has not come by the deadline.
bool read_until(int pipe, Clock::time_point deadline, std::string& text) {
  std::array<char, 4096> buffer;
  while (true) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd descriptor{pipe, POLLIN, 0};
    int ready = ::poll(&descriptor, 1, static_cast<int>(std::max<int64_t>(left, 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    ssize_t bytes = ::read(pipe, buffer.data(), buffer.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) return bytes == 0;
    text.append(buffer.data(), static_cast<size_t>(bytes));
  }
}

// Whether the child ends with code 0 by the deadline; it is gone in any case.
bool ends_well(pid_t child, bool in_time, Clock::time_point deadline) {
  int status = 0;
  pid_t ended = 0;
  while (in_time && (ended = ::waitpid(child, &status, WNOHANG)) == 0 && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (ended == child) return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  ::kill(child, SIGKILL);
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return false;
}

}  // namespace

std::optional<std::string> program_output(const std::vector<std::string>& arguments, double limit_seconds,
                                          const std::vector<std::string>& environment) {
  Clock::time_point deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                                  std::chrono::duration<double>(limit_seconds));
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return std::nullopt;
  pid_t child = start(arguments, environment, pipe[1]);
  ::close(pipe[1]);
  std::string text;
  bool good = false;
  if (child > 0) good = ends_well(child, read_until(pipe[0], deadline, text), deadline);
  ::close(pipe[0]);
  if (!good) return std::nullopt;
  return text;
}

}  // namespace trireme
