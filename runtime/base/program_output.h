// A program of the system that is asked for something, as `scontrol show job`.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace trireme {

struct ProgramAnswer {
  int code = 0;  // the exit code
  std::string output;
  std::string errors;
};

// What `arguments` (the first is looked for on PATH) answers, run without a shell, with nothing on its
// standard input, and `environment` as below. Nothing where it cannot be started, is ended by a signal, or
// has not ended within limit_seconds (it is killed then). To be called from any thread.
std::optional<ProgramAnswer> ask_program(const std::vector<std::string>& arguments, double limit_seconds,
                                         const std::vector<std::string>& environment = {});

// What `arguments` (the first is looked for on PATH) writes on its standard output, run without a shell, with
// nothing on its standard input, its errors dropped, and `environment` ("NAME=VALUE", each replacing one of
// this process's of that name). Nothing where it cannot be started, ends with another code than 0, or has not
// ended within limit_seconds (it is killed then). To be called from any thread.
std::optional<std::string> program_output(const std::vector<std::string>& arguments, double limit_seconds,
                                          const std::vector<std::string>& environment = {});

}  // namespace trireme
