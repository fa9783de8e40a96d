// trireme-checkpoint: looks after the checkpoints of runs.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "comm/run_main.h"
#include "comm/world.h"
#include "config/command_line.h"
#include "inspect/commands.h"

namespace {

using namespace trireme;

void warn(const std::string& message) { fmt::print(stderr, "trireme-checkpoint: warning: {}\n", message); }

int body(int argc, char** argv) {
  // One rank's work: under a launcher the others have nothing to do.
  if (rank_from_environment() != 0) return static_cast<int>(ExitCode::done);
  CommandLine line = parse_command_line(checkpoint_commands(), argc, argv);
  if (!line.answer.empty()) {
    std::fputs(line.answer.c_str(), stdout);
    return static_cast<int>(ExitCode::done);
  }
  Report report = run_checkpoint_command(line, warn);
  std::string text = report.text;
  if (line.has("--json")) {
    // Names of files need not be UTF-8, JSON must.
    text = report.json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    throw IoError("standard output: cannot be written");
  return static_cast<int>(report.bad ? ExitCode::bad_data : ExitCode::done);
}

}  // namespace

int main(int argc, char** argv) { return run_main("trireme-checkpoint", argc, argv, body); }
