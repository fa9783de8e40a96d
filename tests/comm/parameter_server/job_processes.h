// Starting, killing and judging the processes of a toy job (toy_job.cpp).
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/temporary_folder.h"

namespace trireme::test {

// A process whose output goes to a file. Killed with the object.
class Process {
 public:
  Process(std::vector<std::string> words, std::string output) : output_(std::move(output)) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      int file = ::open(output_.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
      ::dup2(file, STDOUT_FILENO);
      ::dup2(file, STDERR_FILENO);
      ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
  }
  ~Process() {
    if (!code_) {
      ::kill(pid_, SIGKILL);
      ::kill(pid_, SIGCONT);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number) const { ::kill(pid_, number); }
  void kill() {
    signal(SIGKILL);
    wait(10);
  }
  // Its code, 128 + number for a signal; -1 when it has not ended by then.
  int wait(double seconds) {
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
};

struct ToyJob {
  int servers = 1;
  int workers = 2;
  std::vector<std::string> arguments;  // "--name", "value", ...

  TemporaryFolder folder;
  std::vector<std::unique_ptr<Process>> server, worker;

  void start() {
    for (int i = 0; i < servers; ++i) start_server(i);
    for (int i = 0; i < workers; ++i) start_worker();
  }
  void start_server(int index) {
    server.push_back(begin("server", fmt::format("server-{}", index), {"--index", std::to_string(index)}));
  }
  void start_worker(std::vector<std::string> more = {}) {
    worker.push_back(begin("worker", fmt::format("worker-{}", worker.size()), std::move(more)));
  }
  // Everything that was said.
  std::string all() const {
    std::string text;
    for (const auto& one : server) text += "--- server\n" + one->output();
    for (const auto& one : worker) text += "--- worker\n" + one->output();
    return text;
  }

 private:
  std::unique_ptr<Process> begin(const std::string& role, const std::string& name,
                                 std::vector<std::string> more) {
    std::vector<std::string> words{TOY_JOB,     role,
                                   "--servers", std::to_string(servers),
                                   "--pieces",  std::to_string(workers),
                                   "--meeting", (folder / "meeting.json").string()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    words.insert(words.end(), more.begin(), more.end());
    return std::make_unique<Process>(words, (folder / name).string());
  }
};

}  // namespace trireme::test
