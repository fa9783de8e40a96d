#include "config/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "config/config.h"
#include "config/nearest.h"
#include "config/text_wrap.h"

namespace trireme {
namespace {

constexpr size_t doc_column = 22;

// The executable's own options first, then those that all have.
std::vector<OptionSpec> all_options(const CommandSpec& spec) {
  std::vector<OptionSpec> options = spec.options;
  if (spec.takes_config || spec.takes_overrides) {
    options.push_back({"--set", "KEY=VALUE",
                       "Set one key of the config, e.g. --set optimizer.learning_rate=0.05; may be given "
                       "many times, and goes "
                       "before what the file says. VALUE is read as TOML; a bare word is a text. Layers "
                       "count from 0: --set "
                       "'model.layer[2].rate=0.5'."});
  }
  if (spec.takes_config) {
    options.push_back({"--help-config", "", "Print the reference of all config keys and leave."});
  }
  options.push_back({"--help", "", "Print this and leave."});
  options.push_back({"--version", "", "Print the version and leave."});
  return options;
}

std::vector<PositionalSpec> all_positionals(const CommandSpec& spec) {
  std::vector<PositionalSpec> positionals = spec.positionals;
  if (spec.takes_config) {
    positionals.insert(
        positionals.begin(),
        {"CONFIG.toml", "The TOML file that describes the run; configs/ holds some that work as they stand.",
         true});
  }
  return positionals;
}

// The text printed for an option that answers instead of running; empty for any other.
std::string answer_to(const CommandSpec& spec, std::string_view option) {
  if (option == "--help") return help_text(spec);
  if (option == "--version") return fmt::format("{} {}\n", spec.program, TRIREME_VERSION);
  if (option == "--help-config") return spec.config_reference.empty() ? help_config() : spec.config_reference;
  return {};
}

[[noreturn]] void fail(const CommandSpec& spec, const std::string& reason) {
  throw UsageError("{}\n{}\n{} --help tells more", reason, usage_line(spec), spec.program);
}

const OptionSpec& find_option(const CommandSpec& spec, const std::vector<OptionSpec>& options,
                              std::string_view name) {
  std::vector<std::string_view> names;
  for (const OptionSpec& option : options) {
    if (option.name == name) return option;
    names.push_back(option.name);
  }
  std::string_view near = nearest(name, names);
  fail(spec, near.empty() ? fmt::format("unknown option {}", name)
                          : fmt::format("unknown option {}; did you mean {}?", name, near));
}

// A paragraph beside its name: "  --name VALUE    text ...".
std::string entry(const std::string& name, std::string_view doc) {
  std::string left = "  " + name;
  std::string text = wrap(doc, doc_column);
  if (left.size() + 2 > doc_column) return left + "\n" + text;
  return left + text.substr(std::min(left.size(), text.size()));
}

std::string paragraphs(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    bool keep = line.empty() || line.starts_with("  ");
    result += keep ? std::string(line) + "\n" : wrap(line, 0);
  }
  return result;
}

std::string option_entry(const OptionSpec& option) {
  return entry(option.value_name.empty() ? option.name : option.name + " " + option.value_name, option.doc);
}

std::string example_lines(const std::vector<std::string>& examples) {
  std::string text = examples.empty() ? "" : "\nExamples:\n";
  for (const std::string& example : examples) text += "  " + example + "\n";
  return text;
}

// A suite's command as an executable of its own.
CommandSpec whole_spec(const CommandSuite& suite, CommandSpec command) {
  command.program = suite.program + " " + command.program;
  command.options.insert(command.options.end(), suite.options.begin(), suite.options.end());
  return command;
}

const CommandSpec* find_command(const CommandSuite& suite, std::string_view name) {
  for (const CommandSpec& command : suite.commands) {
    if (command.program == name) return &command;
  }
  return nullptr;
}

std::string suite_usage(const CommandSuite& suite) {
  return fmt::format("usage: {} COMMAND [ARGUMENTS] [OPTIONS]", suite.program);
}

[[noreturn]] void fail(const CommandSuite& suite, const std::string& reason) {
  throw UsageError("{}\n{}\n{} --help tells more", reason, suite_usage(suite), suite.program);
}

constexpr std::string_view exit_codes =
    "\nExit codes:\n"
    "  0   done\n"
    "  64  wrong command line\n"
    "  65  bad data or checkpoint\n"
    "  66  no such input\n"
    "  70  internal error, or a lost rank\n"
    "  74  I/O error, such as a full disk\n"
    "  75  stopped early with its state saved: submit again\n"
    "  78  bad config\n";

}  // namespace

CommandLine parse_command_line(const CommandSpec& spec, int argc, const char* const* argv) {
  const std::vector<OptionSpec> options = all_options(spec);
  CommandLine line;
  std::vector<std::string> words;
  bool options_over = false;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    if (options_over || argument.size() < 2 || argument.front() != '-') {
      words.push_back(std::move(argument));
      continue;
    }
    if (argument == "--") {
      options_over = true;
      continue;
    }
    if (argument == "-h") argument = "--help";
    size_t equals = argument.find('=');
    const OptionSpec& option = find_option(spec, options, std::string_view(argument).substr(0, equals));
    std::string value;
    if (equals != std::string::npos) {
      if (option.value_name.empty()) fail(spec, fmt::format("{} takes no value", option.name));
      value = argument.substr(equals + 1);
    } else if (!option.value_name.empty()) {
      if (i + 1 >= argc || std::string_view(argv[i + 1]).starts_with("--")) {
        fail(spec, fmt::format("{} needs a value: {} {}", option.name, option.name, option.value_name));
      }
      value = argv[++i];
    }
    if (option.name == "--set") {
      line.overrides.push_back(value);
      continue;
    }
    if (std::string answer = answer_to(spec, option.name); !answer.empty()) {
      line.answer = std::move(answer);
      return line;
    }
    if (!line.options.emplace(option.name, value).second) fail(spec, option.name + " is given twice");
  }

  const std::vector<PositionalSpec> expected = all_positionals(spec);
  size_t required = static_cast<size_t>(
      std::count_if(expected.begin(), expected.end(), [](const PositionalSpec& p) { return p.required; }));
  if (words.size() < required) fail(spec, fmt::format("{} is missing", expected[words.size()].name));
  bool any_number = !expected.empty() && expected.back().repeated;
  if (words.size() > expected.size() && !any_number)
    fail(spec, fmt::format("unexpected argument {}", words[expected.size()]));
  if (spec.takes_config) {
    line.config = words.front();
    words.erase(words.begin());
  }
  line.positionals = std::move(words);
  return line;
}

std::string usage_line(const CommandSpec& spec) {
  std::string text = "usage: " + spec.program;
  for (const PositionalSpec& positional : all_positionals(spec)) {
    text += positional.required ? " " + positional.name : " [" + positional.name + "]";
    if (positional.repeated) text += "...";
  }
  bool overrides = spec.takes_config || spec.takes_overrides;
  return text + (overrides ? " [--set KEY=VALUE]... [OPTIONS]" : " [OPTIONS]");
}

std::string help_text(const CommandSpec& spec) {
  std::string text = usage_line(spec) + "\n" + wrap(spec.summary, 0);
  if (!spec.description.empty()) text += "\n" + paragraphs(spec.description);
  const std::vector<PositionalSpec> positionals = all_positionals(spec);
  if (!positionals.empty()) text += "\nArguments:\n";
  for (const PositionalSpec& positional : positionals) text += entry(positional.name, positional.doc);
  text += "\nOptions (--option VALUE and --option=VALUE are the same):\n";
  for (const OptionSpec& option : all_options(spec)) text += option_entry(option);
  if (!spec.files.empty()) text += "\nFiles written:\n";
  for (const std::string& file : spec.files) {
    size_t gap = std::min(file.find("  "), file.size());  // "PATH  what it holds"
    text += entry(file.substr(0, gap), file.substr(gap));
  }
  return text + example_lines(spec.examples) + std::string(exit_codes);
}

CommandLine parse_command_line(const CommandSuite& suite, int argc, const char* const* argv) {
  std::string_view first = argc > 1 ? argv[1] : "";
  CommandLine line;
  if (first == "--help" || first == "-h") line.answer = help_text(suite);
  if (first == "--version") line.answer = fmt::format("{} {}\n", suite.program, TRIREME_VERSION);
  if (!line.answer.empty()) return line;
  if (first.empty()) fail(suite, "COMMAND is missing");

  const CommandSpec* command = find_command(suite, first);
  int skipped = command != nullptr ? 1 : 0;
  bool like_a_path = first.find_first_of("/.:") != std::string_view::npos || std::filesystem::exists(first);
  if (command == nullptr && (first.front() == '-' || like_a_path)) {
    command = find_command(suite, suite.default_command);
  }
  if (command == nullptr) {
    std::vector<std::string_view> names;
    for (const CommandSpec& one : suite.commands) names.push_back(one.program);
    std::string_view near = nearest(first, names);
    fail(suite, near.empty() ? fmt::format("unknown command {}", first)
                             : fmt::format("unknown command {}; did you mean {}?", first, near));
  }
  line = parse_command_line(whole_spec(suite, *command), argc - skipped, argv + skipped);
  line.command = command->program;
  return line;
}

std::string help_text(const CommandSuite& suite) {
  std::string text = suite_usage(suite) + "\n" + wrap(suite.summary, 0);
  if (!suite.description.empty()) text += "\n" + paragraphs(suite.description);
  for (const CommandSpec& command : suite.commands) {
    text += "\n" + usage_line(whole_spec(suite, command)).substr(std::string_view("usage: ").size()) + "\n";
    text += wrap(command.summary, 4);
    for (const PositionalSpec& positional : command.positionals)
      text += entry(positional.name, positional.doc);
    for (const OptionSpec& option : command.options) text += option_entry(option);
  }
  // What is left of a command without options of its own.
  CommandSpec common{.program = "", .summary = "", .takes_config = false, .takes_overrides = true};
  common.options = suite.options;
  text +=
      "\nOptions of all commands (--set: where it stands above; --option VALUE and --option=VALUE are the "
      "same):\n";
  for (const OptionSpec& option : all_options(common)) text += option_entry(option);
  return text + example_lines(suite.examples) + std::string(exit_codes);
}

}  // namespace trireme
