// One command line for all executables: trireme-NAME CONFIG.toml [--set table.key=value]... [--help]
// [--version] plus what an executable declares. `--option value` and `--option=value` are the same; `--` ends
// the options.
//
//   CommandSpec spec{.program = "trireme-train", .summary = "Trains a network.", .options = {...}};
//   CommandLine line = parse_command_line(spec, argc, argv);
//   if (!line.answer.empty()) { std::fputs(line.answer.c_str(), stdout); return 0; }   // --help, --version,
//   ... Config config = load_config(line.config, line.overrides);
//
// An executable of several commands (trireme-checkpoint ls ...) has a CommandSuite of such specs instead.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

struct OptionSpec {
  std::string name;        // "--run-dir"
  std::string value_name;  // "DIR"; empty for a flag
  std::string doc;         // one or more sentences; wrapped by help_text
};

struct PositionalSpec {
  std::string name;  // "CONFIG.toml"
  std::string doc;
  bool required = true;
  bool repeated =
      false;  // may be given any number of times (once at least where required); the last one only
};

struct CommandSpec {
  std::string program;  // "trireme-train"
  std::string summary;  // one sentence
  // Executables without a config (takes_config = false) know neither --set nor --help-config.
  bool takes_config = true;
  // --set without a leading CONFIG.toml, since another argument may be one.
  bool takes_overrides = false;
  std::string config_reference =
      {};  // what --help-config prints; empty: the reference of a training run's keys
  std::vector<PositionalSpec> positionals = {};  // after CONFIG.toml
  std::vector<OptionSpec> options = {};          // besides --set, --help, --version, --help-config
  std::string description = {};  // paragraphs for --help; a line beginning with two spaces is kept as it is
  std::vector<std::string> examples = {};  // one command a line
  std::vector<std::string> files = {};     // "PATH  what it holds", one a line
};

// Commands under one name. A command's `program` is its bare name ("ls").
struct CommandSuite {
  std::string program;          // "trireme-checkpoint"
  std::string summary;          // one sentence
  std::string default_command;  // what is meant where a path stands in a command's place
  std::vector<CommandSpec> commands;
  std::vector<OptionSpec> options = {};  // of all commands
  std::string description = {};          // like CommandSpec's, as all that follow
  std::vector<std::string> examples = {};
};

struct CommandLine {
  std::string command = {};                                 // of a suite: its bare name
  std::string config;                                       // path of CONFIG.toml
  std::vector<std::string> overrides;                       // of --set, in order
  std::vector<std::string> positionals;                     // after CONFIG.toml
  std::map<std::string, std::string, std::less<>> options;  // by name; a flag holds ""
  std::string answer;                                       // not empty: print this and leave with 0

  bool has(std::string_view name) const { return options.find(name) != options.end(); }
  std::string value(std::string_view name, std::string_view fallback = "") const {
    auto found = options.find(name);
    return std::string(found == options.end() ? fallback : std::string_view(found->second));
  }
};

// Throws UsageError (exit 64): unknown option (names the nearest), missing or surplus argument (prints the
// usage line), an option without its value, a flag with one, an option given twice.
CommandLine parse_command_line(const CommandSpec& spec, int argc, const char* const* argv);

// The same of a suite. The first argument is a command's name, or else (an option, or something like a path)
// the whole line is the default command's. UsageError for a word that is neither, naming the nearest command.
CommandLine parse_command_line(const CommandSuite& suite, int argc, const char* const* argv);

// "usage: trireme-train CONFIG.toml [--set KEY=VALUE]... [OPTIONS]"
std::string usage_line(const CommandSpec& spec);
// Complete: every option, examples, files written, exit codes.
std::string help_text(const CommandSpec& spec);
// All commands with all their options.
std::string help_text(const CommandSuite& suite);

}  // namespace trireme
