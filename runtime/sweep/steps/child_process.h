// A process that is talked with: a line in, a line out. Its errors go to the end of a file.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"

namespace trireme {

struct ChildOptions {
  std::vector<std::string> command;            // the first is looked for on PATH
  std::vector<std::string> without_variables;  // of this process's environment, which it does not inherit
  std::filesystem::path errors;                // where its standard error is appended; made if need be
  double patience_seconds = 60;                // see ~ChildProcess
};

// It leads a process group of its own, so that a Ctrl-C meant for its parent does not end it, and has no
// signals blocked. One thread at a time; several objects by several threads.
class ChildProcess {
 public:
  // Throws IoError when it cannot be started, or its file of errors cannot be written.
  explicit ChildProcess(const ChildOptions& options);
  // One that still runs is told by the end of its input, and killed, its group with it, when it has not
  // ended within patience_seconds.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  // False when it does not read any more.
  bool send_line(std::string_view line);
  // The next whole line, without its end; nothing when none has come within the time, or when no more will
  // come (at_end()). What is left without an end counts as a line.
  std::optional<std::string> read_line(double timeout_seconds);
  bool at_end() const { return at_end_ && received_.empty(); }

  // How a process has ended.
  struct End {
    int signal = 0;       // 0: it has ended by itself
    int code = 0;         // then
    bool in_time = true;  // false: killed here, because it had not ended by then
  };
  // Once. Waits for its end, and kills it and its group after the time.
  End wait(double timeout_seconds);

  // What it has said to its file of errors: the last lines of it, so many characters at most, in one line.
  std::string last_errors(size_t most = 400) const;
  // Adds a line to that file.
  void note(std::string_view line);

 private:
  std::optional<End> try_wait();

  pid_t pid_ = -1;
  double patience_seconds_;
  std::filesystem::path errors_path_;
  Descriptor errors_;
  int64_t errors_begin_ = 0;        // what an earlier process has left in the file
  std::optional<Descriptor> line_;  // a socket: its standard input and output
  std::string received_;
  bool at_end_ = false;
  std::optional<End> end_;
};

}  // namespace trireme
