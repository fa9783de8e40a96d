// What a process says and leaves when it dies of a fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT).
#pragma once

#include <filesystem>
#include <string>

namespace trireme {

// From here on such a signal prints "PROGRAM: error: rank R on HOST: signal 11, segmentation fault, at address
// 0x8" and the stack to stderr, and then ends the process by that very signal, within 10 s whatever state it
// is in. UCX and Open MPI have handlers of their own, which ask for memory: a process that dies within
// malloc, as most damaged heaps do, would wait for itself for ever. Ours takes their place.
// Where the environment says how UCX is to handle errors (UCX_HANDLE_ERRORS) all is left as it is.
void tell_fatal_signals(const std::string& program);

// The same again, after libraries with handlers of their own have been loaded; nothing where no program was
// named before.
void tell_fatal_signals_again();

// While one lives, a fatal signal also leaves its number in `file`, whose folder must be there then. One at a
// time in a process, one that has been through tell_fatal_signals. SIGKILL, which the kernel sends for lack
// of memory too, leaves none.
class FatalSignalNote {
 public:
  explicit FatalSignalNote(const std::filesystem::path& file);
  ~FatalSignalNote();
  FatalSignalNote(const FatalSignalNote&) = delete;
  FatalSignalNote& operator=(const FatalSignalNote&) = delete;
};

}  // namespace trireme
