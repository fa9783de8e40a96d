// What the tests of claims share: other processes that hold a run, holders of other machines, a squeue.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "checkpoint/claim.h"
#include "checkpoint/holder.h"
#include "checkpoint/sample.h"

namespace trireme::test {

// Options that can go on from `step`, and whose heartbeats and waits hold nobody up.
inline ClaimOptions claim_options(int64_t step = -1) {
  ClaimOptions options;
  options.newest_step = [step] { return step; };
  options.heartbeat_seconds = 1000;
  options.silence_seconds = 0.05;
  return options;
}

// What the error says; empty where `body` throws none of this type.
template <class Thrown>
std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Thrown& error) {
    return error.what();
  }
  return "";
}

// Sorted; of starts, too, which listing() passes over.
inline std::vector<std::string> all_names(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

// A child process that runs `body` and then waits to be killed; it has run it once this is constructed.
class Child {
 public:
  explicit Child(const std::function<void()>& body) {
    std::array<int, 2> ready{};
    if (::pipe2(ready.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      try {
        body();
      } catch (const std::exception& error) {
        ::_exit(1);
      }
      if (::write(ready[1], "r", 1) != 1) ::_exit(1);
      while (true) ::pause();
    }
    ::close(ready[1]);
    char byte = 0;
    ready_ = ::read(ready[0], &byte, 1) == 1;
    ::close(ready[0]);
  }
  ~Child() {
    if (pid_ <= 0) return;
    kill();
    reap();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  bool ready() const { return ready_; }
  pid_t pid() const { return pid_; }
  // A zombie until reap().
  void kill() {
    ::kill(pid_, SIGKILL);
    siginfo_t information;
    ::waitid(P_PID, static_cast<id_t>(pid_), &information, WEXITED | WNOWAIT);
  }
  void reap() {
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  bool ready_ = false;
};

// Sets or, with nullptr, unsets a variable while it lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* former = ::getenv(name)) former_ = former;
    set(value);
  }
  ~Variable() { set(former_ ? former_->c_str() : nullptr); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void set(const char* value) {
    if (value) {
      ::setenv(name_, value, 1);
    } else {
      ::unsetenv(name_);
    }
  }
  const char* name_;
  std::optional<std::string> former_;
};

// Touches a file every few milliseconds while it lives.
class Toucher {
 public:
  explicit Toucher(std::filesystem::path file)
      : thread_([this, file] {
          while (!stopped_) {
            ::utimensat(AT_FDCWD, file.c_str(), nullptr, 0);
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
          }
        }) {}
  ~Toucher() {
    stopped_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stopped_{false};
  std::thread thread_;
};

// Claims outside of any job but that which a test sets, in a folder of the test's own.
class ClaimTest : public testing::Test {
 protected:
  fs::path checkpoints() const { return folder_.path() / "checkpoints"; }
  // The start `number` of another machine, in place.
  Holder foreign(int64_t number, const std::string& job = "") const {
    Holder holder;
    holder.start = number;
    holder.host = "elsewhere";
    holder.pid = 4711;
    holder.process_start = 1;
    holder.boot_id = "another-boot";
    holder.pid_namespace = "pid:[1]";
    holder.job_id = job;
    holder.newest_step = -1;
    return holder;
  }
  fs::path put(const Holder& holder) const {
    fs::path start = checkpoints() / fmt::format("start-{:04}", holder.start);
    fs::create_directories(start);
    put_text(start / (holder.ended ? Holder::ended_name : Holder::living_name), holder_json(holder));
    return start;
  }
  // `script` is what squeue does from now on; its arguments are in squeue_arguments().
  void squeue(const std::string& script) {
    fs::path program = folder_.path() / "squeue";
    put_text(program, fmt::format("#!/bin/sh\necho \"$@\" >>{}\n{}\n", arguments().string(), script));
    fs::permissions(program, fs::perms::owner_all);
    path_.emplace("PATH", (folder_.path().string() + ":" + ::getenv("PATH")).c_str());
  }
  fs::path arguments() const { return folder_.path() / "squeue-arguments"; }
  std::vector<std::string> names() const { return all_names(checkpoints()); }

 private:
  Folder folder_;
  Variable no_job_{"SLURM_JOB_ID", nullptr};
  Variable no_step_{"SLURM_STEP_ID", nullptr};
  Variable no_count_{"SLURM_RESTART_COUNT", nullptr};
  Variable no_cluster_{"SLURM_CLUSTER_NAME", nullptr};
  std::optional<Variable> path_;
};

}  // namespace trireme::test
