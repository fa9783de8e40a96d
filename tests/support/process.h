// Processes that a test starts, signals and judges.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace trireme::test {

// A process of an environment of its own, whose output goes to a file's end. Killed with the object.
class Process {
 public:
  // words: the executable's path and its arguments; environment: "NAME=value" each.
  Process(std::vector<std::string> words, std::string output, std::vector<std::string> environment)
      : output_(std::move(output)) {
    std::vector<char*> arguments = pointers(words), variables = pointers(environment);
    pid_ = ::fork();
    if (pid_ == 0) {
      int file = ::open(output_.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
      ::dup2(file, STDOUT_FILENO);
      ::dup2(file, STDERR_FILENO);
      ::execve(arguments[0], arguments.data(), variables.data());
      ::_exit(127);
    }
  }
  // The same in this process's environment.
  Process(std::vector<std::string> words, std::string output)
      : Process(std::move(words), std::move(output), inherited()) {}
  ~Process() {
    if (!code_) {
      ::kill(pid_, SIGKILL);
      ::kill(pid_, SIGCONT);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const { ::kill(pid_, number); }
  void kill() {
    signal(SIGKILL);
    wait(10);
  }
  // Its code, 128 + number for a signal; -1 when it has not ended by then.
  int wait(double seconds = 30) {
    auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (!code_) {
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        break;
      }
      if (std::chrono::steady_clock::now() > until) return -1;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return *code_;
  }
  std::string output() const {
    std::ifstream file(output_);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  bool says(const std::string& text, double seconds) const {
    auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (output().find(text) == std::string::npos) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }

 private:
  std::string output_;
  pid_t pid_ = -1;
  std::optional<int> code_;

  static std::vector<std::string> inherited() {
    std::vector<std::string> all;
    for (char** variable = environ; *variable != nullptr; ++variable) all.emplace_back(*variable);
    return all;
  }
  static std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> found;
    for (std::string& word : words) found.push_back(word.data());
    found.push_back(nullptr);
    return found;
  }
};

}  // namespace trireme::test
