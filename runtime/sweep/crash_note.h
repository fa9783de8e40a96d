// Who brought a sweep down: a process that dies of a fault leaves a note in the folder of the trial that it
// ran, so that the next start blames that one and not those which ran beside it.
#pragma once

#include <csignal>
#include <filesystem>
#include <optional>
#include <string>

#include "sweep/runner.h"

namespace trireme {

// While one lives, a fatal signal of this process (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) writes the note
// `<run directory>/crashed`, and then does what it did before. One at a time in a process. SIGKILL, which
// the kernel's lack of memory sends too, leaves none.
class CrashNote {
 public:
  // The folder must be there when the signal comes. With `first` (one rank of several) a former note goes.
  CrashNote(const std::filesystem::path& run_directory, bool first);
  ~CrashNote();
  CrashNote(const CrashNote&) = delete;
  CrashNote& operator=(const CrashNote&) = delete;

 private:
  stack_t former_stack_{};
};

// The same runner, each of whose trials leaves such a note. For processes with one rank each.
TrialRunner leave_crash_notes(TrialRunner runner);

// What the note in a trial's folder says ("signal 11, segmentation fault"); nothing where there is none.
std::optional<std::string> read_crash_note(const std::filesystem::path& run_directory);

}  // namespace trireme
