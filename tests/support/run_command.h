// A command line as a user would give it: how it ended, what it said, how long it took.
#pragma once

#include <sys/wait.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <string>

namespace trireme::test {

struct CommandResult {
  int code = -1;  // exit code; 128 + number for a signal; 124 when it was ended after the limit
  std::string output;
  double seconds = 0;
  int times(const std::string& text) const {
    int found = 0;
    for (size_t at = output.find(text); at != std::string::npos; at = output.find(text, at + 1)) ++found;
    return found;
  }
};

// By the shell, both streams together; what has not ended after limit_seconds is killed, so that a hang is a
// failure.
inline CommandResult run_command(const std::string& command, int limit_seconds) {
  auto start = std::chrono::steady_clock::now();
  CommandResult result;
  std::string whole = "timeout -k 1 " + std::to_string(limit_seconds) + " " + command + " 2>&1";
  std::FILE* pipe = ::popen(whole.c_str(), "r");
  if (pipe == nullptr) return result;
  std::array<char, 4096> buffer;
  while (size_t bytes = std::fread(buffer.data(), 1, buffer.size(), pipe))
    result.output.append(buffer.data(), bytes);
  int status = ::pclose(pipe);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace trireme::test
