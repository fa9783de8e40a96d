// The commands of trireme-sweep that read a sweep: show, best, importance, export.
#pragma once

#include <cstdio>
#include <vector>

#include "config/command_line.h"

namespace trireme {

std::vector<CommandSpec> result_commands();

// Runs one of them, on a running sweep or one that is over; nothing but best.toml is ever written into its
// folder. Called by every rank before MPI has been touched: importance shares its work among all of them, and
// of the others the first does all while the rest return at once. Returns the exit code. Throws UsageError,
// MissingInputError (no such sweep; no best trial yet), DataError (a damaged journal), ConfigError, IoError.
int run_result_command(const CommandLine& line, std::FILE* out);

}  // namespace trireme
