// Where what is printed ends up: on a terminal, or in a file.
#pragma once

#include <cstdio>

namespace trireme {

// The terminal that a stream's output reaches, if any; closed at the end.
class ConsoleTerminal {
 public:
  ConsoleTerminal() = default;  // none
  // The stream itself, or, when mpirun started this process, what mpirun forwards the stream to: mpirun reads
  // its ranks' output through pipes, so the stream alone cannot tell. (mpirun hands rank output on as it
  // comes, unfinished lines too.)
  explicit ConsoleTerminal(std::FILE* stream);
  ~ConsoleTerminal();
  ConsoleTerminal(const ConsoleTerminal&) = delete;
  ConsoleTerminal& operator=(const ConsoleTerminal&) = delete;

  bool exists() const { return descriptor_ >= 0; }
  int columns() const;  // 80 when unknown
  int rows() const;     // 24 when unknown

 private:
  int descriptor_ = -1;
};

}  // namespace trireme
