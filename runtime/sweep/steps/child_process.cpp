#include "sweep/steps/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <sstream>
#include <thread>

#include "base/environment.h"
#include "base/error.h"
#include "base/spawn.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

Descriptor open_errors(const std::filesystem::path& path) {
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (file.get() < 0) throw IoError("{}: cannot be written: {}", path.string(), std::strerror(errno));
  return file;
}

pid_t spawn(const ChildOptions& options, int line, int errors) {
  pid_t child = spawn_program({.arguments = options.command,
                               .environment = environment_without(options.without_variables),
                               .input = line,
                               .output = line,
                               .errors = errors,
                               .own_group = true});
  if (child < 0) throw IoError("{}: cannot be started: {}", options.command.front(), std::strerror(-child));
  return child;
}

}  // namespace

ChildProcess::ChildProcess(const ChildOptions& options)
    : patience_seconds_(options.patience_seconds),
      errors_path_(options.errors),
      errors_(open_errors(options.errors)),
      errors_begin_(::lseek(errors_.get(), 0, SEEK_END)) {
  // Not pipes: to write to somebody who has died must not be a signal for the whole process.
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw IoError("{}: cannot be talked with: {}", options.command.front(), std::strerror(errno));
  }
  line_.emplace(ends[0]);
  Descriptor theirs(ends[1]);
  pid_ = spawn(options, theirs.get(), errors_.get());
}

ChildProcess::~ChildProcess() {
  line_.reset();
  if (!end_) wait(patience_seconds_);
}

bool ChildProcess::send_line(std::string_view line) {
  std::string text = std::string(line) + "\n";
  std::string_view rest = text;
  while (!rest.empty()) {
    ssize_t sent = ::send(line_->get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    rest.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

std::optional<std::string> ChildProcess::read_line(double timeout_seconds) {
  auto deadline = Clock::now() + std::chrono::duration<double>(timeout_seconds);
  while (true) {
    size_t end = received_.find('\n');
    if (end != std::string::npos || (at_end_ && !received_.empty())) {
      std::string line = received_.substr(0, end);
      received_.erase(0, end == std::string::npos ? end : end + 1);
      return line;
    }
    if (at_end_) return std::nullopt;
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd readable{line_->get(), POLLIN, 0};
    int ready = ::poll(&readable, 1, static_cast<int>(std::max<int64_t>(left, 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return std::nullopt;
    std::array<char, 4096> buffer;
    ssize_t bytes = ::recv(line_->get(), buffer.data(), buffer.size(), 0);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes > 0) {
      received_.append(buffer.data(), static_cast<size_t>(bytes));
    } else {
      at_end_ = true;  // a reset, too: it has died with something unread
    }
  }
}

std::optional<ChildProcess::End> ChildProcess::try_wait() {
  int status = 0;
  pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return std::nullopt;
  if (ended < 0) throw IoError("process {}: its end cannot be learned: {}", pid_, std::strerror(errno));
  return WIFSIGNALED(status) ? End{.signal = WTERMSIG(status)} : End{.code = WEXITSTATUS(status)};
}

ChildProcess::End ChildProcess::wait(double timeout_seconds) {
  auto deadline = Clock::now() + std::chrono::duration<double>(timeout_seconds);
  auto pause = std::chrono::microseconds(200);
  while (!(end_ = try_wait()) && Clock::now() < deadline) {
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(20000));
  }
  if (end_) return *end_;
  ::kill(-pid_, SIGKILL);
  while (!(end_ = try_wait())) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  end_->in_time = false;
  return *end_;
}

std::string ChildProcess::last_errors(size_t most) const {
  int64_t end = ::lseek(errors_.get(), 0, SEEK_END);
  int64_t begin = std::max(errors_begin_, end - static_cast<int64_t>(most));
  if (end <= begin) return "";
  std::string text(static_cast<size_t>(end - begin), '\0');
  ssize_t bytes = ::pread(errors_.get(), text.data(), text.size(), begin);
  text.resize(static_cast<size_t>(std::max<ssize_t>(bytes, 0)));
  // From a line's beginning, if that leaves anything.
  size_t first_end = text.find('\n');
  bool torn = begin > errors_begin_ && first_end != std::string::npos && first_end + 1 < text.size();
  std::istringstream lines(torn ? text.substr(first_end + 1) : text);
  std::string joined;
  for (std::string line; std::getline(lines, line);) {
    std::replace_if(
        line.begin(), line.end(), [](unsigned char letter) { return letter < ' '; }, ' ');
    line.erase(0, line.find_first_not_of(' '));
    line.erase(line.find_last_not_of(' ') + 1);
    if (!line.empty()) joined += (joined.empty() ? "" : " | ") + line;
  }
  return joined;
}

void ChildProcess::note(std::string_view line) {
  std::string text = std::string(line) + "\n";
  if (::write(errors_.get(), text.data(), text.size()) < 0) {
    throw IoError("{}: cannot be written: {}", errors_path_.string(), std::strerror(errno));
  }
}

}  // namespace trireme
