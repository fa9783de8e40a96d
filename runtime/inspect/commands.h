// trireme-checkpoint's commands: their command lines, and what each does.
#pragma once

#include <functional>
#include <string>

#include "config/command_line.h"
#include "inspect/report.h"

namespace trireme {

CommandSuite checkpoint_commands();

// Runs the command of a line that parse_command_line made of checkpoint_commands(). What is passed over
// (damaged checkpoints) is told to `warn`. Throws UsageError for values of options that are none, and what
// the command throws.
Report run_checkpoint_command(const CommandLine& line, const std::function<void(const std::string&)>& warn);

}  // namespace trireme
