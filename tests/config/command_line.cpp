// One command line for all executables.
#include "config/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/error.h"

namespace trireme {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

CommandSpec train_spec() {
  CommandSpec spec;
  spec.program = "trireme-train";
  spec.summary = "Trains a network.";
  spec.options = {{"--run-dir", "DIR", "Directory of the results."}, {"--fresh", "", "Begin anew."}};
  spec.description =
      "A paragraph that is long enough to be wrapped at the width of a terminal, which takes a few more "
      "words "
      "than one would think.\n\n  kept   as it   is\n";
  spec.examples = {"trireme-train net.toml --fresh"};
  spec.files = {"summary.json  the end of it"};
  return spec;
}

CommandLine parse(const CommandSpec& spec, std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "program");
  return parse_command_line(spec, static_cast<int>(arguments.size()), arguments.data());
}

std::string fault(std::vector<const char*> arguments) {
  try {
    parse(train_spec(), std::move(arguments));
  } catch (const UsageError& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "was accepted";
}

TEST(CommandLine, ReadsEverything) {
  CommandLine line =
      parse(train_spec(), {"--set", "a.b=1", "net.toml", "--run-dir=out", "--fresh", "--set=c.d=x=y"});
  EXPECT_EQ(line.config, "net.toml");
  EXPECT_THAT(line.overrides, ElementsAre("a.b=1", "c.d=x=y"));
  EXPECT_EQ(line.value("--run-dir"), "out");
  EXPECT_TRUE(line.has("--fresh"));
  EXPECT_FALSE(line.has("--quiet"));
  EXPECT_EQ(line.value("--quiet", "no"), "no");
  EXPECT_TRUE(line.answer.empty());
  EXPECT_EQ(parse(train_spec(), {"net.toml", "--run-dir", "-odd"}).value("--run-dir"), "-odd");
  EXPECT_EQ(parse(train_spec(), {"--", "--odd.toml"}).config, "--odd.toml");
}

TEST(CommandLine, AnswersInsteadOfRunning) {
  EXPECT_EQ(parse(train_spec(), {"--version"}).answer, "trireme-train " TRIREME_VERSION "\n");
  EXPECT_THAT(parse(train_spec(), {"--help"}).answer, HasSubstr("usage: trireme-train CONFIG.toml"));
  EXPECT_EQ(parse(train_spec(), {"-h"}).answer, parse(train_spec(), {"net.toml", "--help"}).answer);
  EXPECT_THAT(parse(train_spec(), {"--help-config"}).answer, HasSubstr("[optimizer]"));
}

TEST(CommandLine, TellsWhatIsWrong) {
  EXPECT_THAT(fault({}), testing::AllOf(HasSubstr("CONFIG.toml is missing"),
                                        HasSubstr("usage: trireme-train CONFIG.toml")));
  EXPECT_THAT(fault({"a.toml", "--frehs"}), HasSubstr("unknown option --frehs; did you mean --fresh?"));
  EXPECT_THAT(fault({"a.toml", "--rundir=x"}), HasSubstr("did you mean --run-dir?"));
  EXPECT_THAT(fault({"a.toml", "-x"}), HasSubstr("unknown option -x"));
  EXPECT_THAT(fault({"a.toml", "b.toml"}), HasSubstr("unexpected argument b.toml"));
  EXPECT_THAT(fault({"a.toml", "--run-dir"}), HasSubstr("--run-dir needs a value: --run-dir DIR"));
  EXPECT_THAT(fault({"a.toml", "--run-dir", "--fresh"}), HasSubstr("--run-dir needs a value"));
  EXPECT_THAT(fault({"a.toml", "--fresh=yes"}), HasSubstr("--fresh takes no value"));
  EXPECT_THAT(fault({"a.toml", "--fresh", "--fresh"}), HasSubstr("--fresh is given twice"));
  EXPECT_THAT(fault({"a.toml", "--set"}), HasSubstr("--set needs a value"));
}

TEST(CommandLine, HelpIsComplete) {
  std::string help = help_text(train_spec());
  for (const char* part : {"Trains a network.", "CONFIG.toml", "--run-dir DIR", "Directory of the results.",
                           "--fresh", "--set KEY=VALUE", "--help-config", "--help ", "--version",
                           "  kept   as it   is\n", "  summary.json        the end of it\n",
                           "trireme-train net.toml --fresh", "78  bad config", "75  stopped early"}) {
    EXPECT_THAT(help, HasSubstr(part));
  }
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(CommandLine, WithoutAConfig) {
  CommandSpec spec;
  spec.program = "trireme-prepare";
  spec.takes_config = false;
  spec.positionals = {{"INPUT", "Raw file."}, {"OUTPUT", "HDF5 file.", false}};
  EXPECT_THAT(parse(spec, {"a", "b"}).positionals, ElementsAre("a", "b"));
  EXPECT_THAT(parse(spec, {"a"}).positionals, ElementsAre("a"));
  EXPECT_THROW(parse(spec, {}), UsageError);
  EXPECT_THROW(parse(spec, {"a", "--set", "x=1"}), UsageError);
  EXPECT_EQ(usage_line(spec), "usage: trireme-prepare INPUT [OUTPUT] [OPTIONS]");
  EXPECT_THAT(help_text(spec), testing::Not(HasSubstr("--set")));
}

CommandSuite notebook() {
  CommandSpec list{
      .program = "list", .summary = "Lists pages.", .takes_config = false, .takes_overrides = true};
  list.positionals = {{"BOOK", "Which book.", true}};
  list.options = {{"--long", "", "All of each page."}};
  CommandSpec join{.program = "join", .summary = "Joins books.", .takes_config = false};
  join.positionals = {{"FIRST", "One book.", true}, {"MORE", "And others.", true, true}};
  return {.program = "notebook",
          .summary = "Looks after notebooks.",
          .default_command = "list",
          .commands = {list, join},
          .options = {{"--json", "", "Machines read it."}},
          .examples = {"notebook list a.book"}};
}

CommandLine parse(const CommandSuite& suite, std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "program");
  return parse_command_line(suite, static_cast<int>(arguments.size()), arguments.data());
}

std::string suite_fault(std::vector<const char*> arguments) {
  try {
    parse(notebook(), std::move(arguments));
  } catch (const UsageError& error) {
    return error.what();
  }
  return "was accepted";
}

TEST(CommandSuite, FindsTheCommand) {
  CommandLine line = parse(notebook(), {"list", "a.book", "--json", "--set", "x=1", "--long"});
  EXPECT_EQ(line.command, "list");
  EXPECT_THAT(line.positionals, ElementsAre("a.book"));
  EXPECT_THAT(line.overrides, ElementsAre("x=1"));
  EXPECT_TRUE(line.has("--json") && line.has("--long"));
  line = parse(notebook(), {"join", "a", "b", "c", "d"});
  EXPECT_EQ(line.command, "join");
  EXPECT_THAT(line.positionals, ElementsAre("a", "b", "c", "d"));
  // A path alone is the default command's.
  line = parse(notebook(), {"some/a.book"});
  EXPECT_EQ(line.command, "list");
  EXPECT_THAT(line.positionals, ElementsAre("some/a.book"));
  EXPECT_EQ(parse(notebook(), {"--json", "a.book"}).command, "list");
}

TEST(CommandSuite, TellsWhatIsWrong) {
  EXPECT_THAT(suite_fault({}), HasSubstr("COMMAND is missing"));
  EXPECT_THAT(suite_fault({"lst"}), HasSubstr("unknown command lst; did you mean list?"));
  EXPECT_THAT(suite_fault({"list"}),
              testing::AllOf(HasSubstr("BOOK is missing"), HasSubstr("usage: notebook list BOOK")));
  EXPECT_THAT(suite_fault({"list", "a", "b"}), HasSubstr("unexpected argument b"));
  EXPECT_THAT(suite_fault({"join", "a"}), HasSubstr("usage: notebook join FIRST MORE... [OPTIONS]"));
  EXPECT_THAT(suite_fault({"join", "a", "b", "--long"}), HasSubstr("unknown option --long"));
  EXPECT_THAT(suite_fault({"join", "a", "b", "--set", "x=1"}), HasSubstr("unknown option --set"));
}

TEST(CommandSuite, HelpIsComplete) {
  std::string help = parse(notebook(), {"--help"}).answer;
  for (const char* part : {"Looks after notebooks.", "notebook list BOOK", "Lists pages.", "Which book.",
                           "--long", "MORE...", "And others.", "--json", "--set KEY=VALUE", "--version",
                           "notebook list a.book", "66  no such input"}) {
    EXPECT_THAT(help, HasSubstr(part));
  }
  EXPECT_EQ(parse(notebook(), {"--version"}).answer, "notebook " TRIREME_VERSION "\n");
  EXPECT_THAT(
      parse(notebook(), {"list", "--help"}).answer,
      testing::AllOf(HasSubstr("usage: notebook list BOOK"), HasSubstr("--json"), HasSubstr("--long")));
}

}  // namespace
}  // namespace trireme
