// Starting another program.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace trireme {

struct SpawnOptions {
  std::vector<std::string> arguments;    // the program first, looked for on the PATH
  std::vector<std::string> environment;  // all of it, "NAME=value" each
  int input = -1;                        // descriptors that become its standard ones; -1: /dev/null
  int output = -1;
  int errors = -1;
  bool own_group = false;  // leads a process group, which a terminal's Ctrl-C does not reach
};

// Its process id, or minus the number of the error. Its signals are as a shell's child would have them,
// whatever this thread blocks.
pid_t spawn_program(const SpawnOptions& options);

}  // namespace trireme
