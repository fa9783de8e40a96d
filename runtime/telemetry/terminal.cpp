#include "telemetry/terminal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace trireme {
namespace {

// Whether the process is an mpirun (Open MPI 4 or 5) by one of its names.
bool is_mpirun(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/comm", process));
  std::string name;
  std::getline(file, name);
  return name == "mpirun" || name == "mpiexec" || name == "orterun" || name == "prterun";
}

}  // namespace

ConsoleTerminal::ConsoleTerminal(std::FILE* stream) {
  if (stream == nullptr) return;
  int own = ::fileno(stream);
  bool standard = own == STDOUT_FILENO || own == STDERR_FILENO;
  if (standard && is_mpirun(::getppid())) {
    // Its ranks' output is a pseudo terminal and its errors are a pipe, wherever they go to in the end. A
    // rank on another node has a daemon for a parent and is not rank 0, which alone draws.
    std::string theirs = fmt::format("/proc/{}/fd/{}", ::getppid(), own);
    descriptor_ = ::open(theirs.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  } else {
    descriptor_ = ::fcntl(own, F_DUPFD_CLOEXEC, 0);
  }
  if (descriptor_ >= 0 && ::isatty(descriptor_) != 1) {
    ::close(descriptor_);
    descriptor_ = -1;
  }
}

ConsoleTerminal::~ConsoleTerminal() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

int ConsoleTerminal::columns() const {
  winsize size{};
  if (exists() && ::ioctl(descriptor_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

int ConsoleTerminal::rows() const {
  winsize size{};
  if (exists() && ::ioctl(descriptor_, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) return size.ws_row;
  return 24;
}

}  // namespace trireme
