// A comm_ucx_peer as a child process, and the way to it.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "comm/ucx/pair.h"
#include "comm/ucx/protocol.h"

namespace trireme::test {

class Process {
 public:
  explicit Process(const std::string& transports = "", size_t memory_bytes = 1 << 20) {
    int input[2], output[2];
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    pid_ = fork();
    if (pid_ == 0) {
      dup2(input[0], 0);
      dup2(output[1], 1);
      execl(UCX_PEER, UCX_PEER, transports.empty() ? "-" : transports.c_str(),
            std::to_string(memory_bytes).c_str(), nullptr);
      _exit(127);
    }
    ::close(input[0]);
    ::close(output[1]);
    input_ = input[1];
    FILE* lines = fdopen(output[0], "r");
    char text_address[20000], text_key[20000];
    if (std::fscanf(lines, "%d %19999s %19999s %lu", &port, text_address, text_key, &memory) != 4) {
      throw std::runtime_error("comm_ucx_peer did not start");
    }
    std::fclose(lines);
    address = from_hex(text_address);
    key = from_hex(text_key);
  }
  Process(const Process&) = delete;
  ~Process() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::kill(pid_, SIGCONT);
      waitpid(pid_, nullptr, 0);
    }
    if (input_ >= 0) ::close(input_);
  }

  pid_t pid() const { return pid_; }
  void signal(int number) { ::kill(pid_, number); }
  /** Kills it and waits until it is gone. */
  void kill() {
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  bool alive() const { return waitpid(pid_, nullptr, WNOHANG) == 0; }
  /** Stops it so that it stands still when this returns. */
  void freeze() {
    ::kill(pid_, SIGSTOP);
    int status = 0;
    waitpid(pid_, &status, WUNTRACED);
  }
  /** Tells it to leave in good order and answers its wait status. */
  int leave() {
    ::close(input_);
    input_ = -1;
    int status = -1;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

  int port = 0;
  std::vector<std::byte> address, key;
  unsigned long memory = 0;

 private:
  pid_t pid_ = -1;
  int input_ = -1;
};

/** A worker of this process connected to a peer. */
struct Client {
  Client(Process& process, bool by_address, const std::string& transports = "")
      : context({.transports = transports}), worker(context) {
    if (by_address) {
      endpoint = std::make_unique<UcxEndpoint>(UcxEndpoint::connect(worker, process.address));
      own = worker.address();
      endpoint->send(kAddress, {}, own.data(), own.size());
    } else {
      endpoint = std::make_unique<UcxEndpoint>(
          UcxEndpoint::connect(worker, "127.0.0.1", static_cast<uint16_t>(process.port)));
    }
    endpoint->on_failure([this](ucs_status_t status) { failure = status; });
    worker.on_message(kEchoed, [this](UcxMessage&& message) {
      auto data = std::make_shared<std::vector<std::byte>>(message.size());
      message.receive(data->data(), data->size(), [this, data](ucs_status_t status) {
        if (status == UCS_OK) ++echoes;
      });
    });
    worker.on_message(kHeld, [this](UcxMessage&&) { ++holds; });
  }
  bool until(const std::function<bool()>& done, std::chrono::nanoseconds limit = kGenerous) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      worker.wait(10ms);
    }
    return true;
  }
  /** Whether an echo of `bytes` comes back. */
  bool echo(size_t bytes = 100) {
    const auto data = pattern(bytes);
    const int before = echoes;
    auto request = endpoint->send(kEcho, {}, data.data(), data.size());
    return until([&] { return (echoes > before && request.done()) || endpoint->failed(); }) &&
           echoes > before;
  }

  UcxContext context;
  UcxWorker worker;
  std::unique_ptr<UcxEndpoint> endpoint;
  std::vector<std::byte> own;
  int echoes = 0, holds = 0;
  ucs_status_t failure = UCS_OK;
};

}  // namespace trireme::test
