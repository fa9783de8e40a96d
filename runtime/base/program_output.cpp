#include "base/program_output.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <thread>

#include "base/environment.h"
#include "base/spawn.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::string> environment_with(const std::vector<std::string>& more) {
  std::vector<std::string> names;
  for (const std::string& one : more) names.push_back(one.substr(0, one.find('=')));
  std::vector<std::string> all = environment_without(names);
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

// All that comes until the end of both pipes; false where that has not come by the deadline.
bool read_until(const std::array<int, 2>& pipes, Clock::time_point deadline,
                const std::array<std::string*, 2>& texts) {
  std::array<char, 4096> buffer;
  std::array<pollfd, 2> open{{{pipes[0], POLLIN, 0}, {pipes[1], POLLIN, 0}}};
  while (open[0].fd >= 0 || open[1].fd >= 0) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    int ready = ::poll(open.data(), open.size(), static_cast<int>(std::max<int64_t>(left, 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    for (size_t i = 0; i < open.size(); ++i) {
      if (open[i].fd < 0 || open[i].revents == 0) continue;
      ssize_t bytes = ::read(open[i].fd, buffer.data(), buffer.size());
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes < 0) return false;
      if (bytes == 0) open[i].fd = -1;  // poll passes over it
      texts[i]->append(buffer.data(), static_cast<size_t>(bytes));
    }
  }
  return true;
}

// The exit code of a child that ends by the deadline; it is gone in any case.
std::optional<int> exit_code(pid_t child, bool in_time, Clock::time_point deadline) {
  int status = 0;
  pid_t ended = 0;
  while (in_time && (ended = ::waitpid(child, &status, WNOHANG)) == 0 && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (ended == child) return WIFEXITED(status) ? std::optional(WEXITSTATUS(status)) : std::nullopt;
  ::kill(child, SIGKILL);
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return std::nullopt;
}

}  // namespace

std::optional<ProgramAnswer> ask_program(const std::vector<std::string>& arguments, double limit_seconds,
                                         const std::vector<std::string>& environment) {
  Clock::time_point deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                                  std::chrono::duration<double>(limit_seconds));
  std::array<int, 2> output{};
  std::array<int, 2> errors{};
  if (::pipe2(output.data(), O_CLOEXEC) != 0) return std::nullopt;
  if (::pipe2(errors.data(), O_CLOEXEC) != 0) {
    ::close(output[0]);
    ::close(output[1]);
    return std::nullopt;
  }
  pid_t child = spawn_program({.arguments = arguments,
                               .environment = environment_with(environment),
                               .output = output[1],
                               .errors = errors[1]});
  ::close(output[1]);
  ::close(errors[1]);
  ProgramAnswer answer;
  std::optional<int> code;
  if (child > 0) {
    bool in_time = read_until({output[0], errors[0]}, deadline, {&answer.output, &answer.errors});
    code = exit_code(child, in_time, deadline);
  }
  ::close(output[0]);
  ::close(errors[0]);
  if (!code) return std::nullopt;
  answer.code = *code;
  return answer;
}

std::optional<std::string> program_output(const std::vector<std::string>& arguments, double limit_seconds,
                                          const std::vector<std::string>& environment) {
  auto answer = ask_program(arguments, limit_seconds, environment);
  if (!answer || answer->code != 0) return std::nullopt;
  return std::move(answer->output);
}

}  // namespace trireme
