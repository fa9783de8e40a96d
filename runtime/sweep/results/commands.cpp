#include "sweep/results/commands.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include "base/atomic_file.h"
#include "base/error.h"
#include "comm/world.h"
#include "sweep/results.h"
#include "sweep/results/importance_text.h"
#include "sweep/results/table.h"
#include "telemetry/terminal.h"
#include "train/job_end.h"

namespace trireme {
namespace {

void write(std::FILE* out, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), out);
  if (std::fflush(out) != 0 || std::ferror(out) != 0) throw IoError("standard output: cannot be written");
}

std::filesystem::path folder_of(const CommandLine& line) {
  return find_sweep(line.positionals.front(), line.value("--run-dir"));
}

template <class Number>
Number number_of(const CommandLine& line, std::string_view option, Number fallback, Number at_least) {
  if (!line.has(option)) return fallback;
  std::string text = line.value(option);
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool right = error == std::errc() && end == text.data() + text.size() && number >= at_least &&
               number <= Number(1000000);
  if (!right) throw UsageError("{} {}: expected a number, {} or more", option, text, at_least);
  return number;
}

int show(const CommandLine& line, std::FILE* out) {
  std::filesystem::path folder = folder_of(line);
  auto watch = number_of<double>(line, "--watch", 0, 0.1);
  ConsoleTerminal terminal(out);
  for (bool again = false;; again = true) {
    SweepView view = open_sweep(folder);
    double now = JobEnd::unix_seconds();
    bool over = watch == 0 || !view.is_open();
    if (!terminal.exists()) {
      write(out, (again ? "\n" : "") + table_of(view, 100, 0, now));
    } else if (watch == 0) {
      write(out, styled_text(table_lines(view, terminal.columns(), 0, now)) + "\n");
    } else {
      // Cursor home, all below erased (ECMA-48 CUP, ED): the screen is this table's.
      std::vector<TableLine> lines = table_lines(view, terminal.columns(), terminal.rows() - 1, now);
      write(out, "\x1b[H\x1b[J" + styled_text(lines) + "\n");
    }
    if (over) return 0;
    std::this_thread::sleep_for(std::chrono::duration<double>(watch));
  }
}

int best(const CommandLine& line, std::FILE* out) {
  std::filesystem::path folder = folder_of(line);
  SweepView view = open_sweep(folder);
  std::vector<std::filesystem::path> files = write_best(folder, view);
  if (files.empty()) {
    throw MissingInputError(
        "{}: no trial has been trained to an end yet, so there is no best one: see trireme-sweep show",
        folder.string());
  }
  // What is printed is itself a config.
  std::string text;
  for (const std::filesystem::path& file : files) text += "# " + file.string() + "\n";
  write(out, text + read_file(files.front()));
  return 0;
}

int importance(const CommandLine& line, std::FILE* out) {
  std::filesystem::path folder = folder_of(line);
  ImportanceTextOptions options;
  options.trees = number_of<int>(line, "--trees", 64, 1);
  options.metric = line.value("--objective");
  options.json = line.has("--json");
  ConsoleTerminal terminal(out);
  if (terminal.exists()) options.columns = terminal.columns();
  World world;
  SweepView view = open_sweep_alike(folder, world.communicator());
  std::string text = importance_text(view, options, world.communicator());
  if (world.rank() == 0) write(out, text);
  return 0;
}

int export_all(const CommandLine& line, std::FILE* out) {
  int kinds = line.has("--csv") + line.has("--jsonl") + line.has("--html");
  if (kinds != 1) throw UsageError("export: name one of --csv, --jsonl and --html");
  SweepView view = open_sweep(folder_of(line));
  std::string text = line.has("--csv")     ? csv_of(view)
                     : line.has("--jsonl") ? trials_of(view)
                                           : report_of(view, JobEnd::unix_seconds());
  if (line.has("--output")) {
    write_file_atomically(line.value("--output"), text);
  } else {
    write(out, text);
  }
  return 0;
}

CommandSpec spec(const std::string& name, const std::string& summary, std::vector<OptionSpec> options) {
  options.push_back({"--run-dir", "DIR", "The folder of a SWEEP.toml's sweep; default runs/<sweep.name>."});
  return {.program = name,
          .summary = summary,
          .takes_config = false,
          .positionals = {{"SWEEP", "The sweep's folder, or its SWEEP.toml."}},
          .options = std::move(options)};
}

}  // namespace

std::vector<CommandSpec> result_commands() {
  return {
      spec(
          "show",
          "Shows how a sweep stands: the best so far, running trials with their curves, what ended last, how "
          "busy the ranks are and how long it will take.",
          {{"--watch", "SECONDS", "Again and again, until the sweep is over."}}),
      spec("best",
           "Prints best.toml, the complete config of the best trial, after the names of all such files (of "
           "several objectives there is one for each trial of the Pareto front); writes them where they are "
           "not up to date.",
           {}),
      spec(
          "importance",
          "Tells how much of the objective's variance each parameter and each pair accounts for (fANOVA by a "
          "random forest). Under mpirun or srun all ranks share the work.",
          {{"--trees", "N", "Of the forest; default 64."},
           {"--objective", "METRIC", "Of several objectives this one alone."},
           {"--json", "", "Print JSON instead of words."}}),
      spec("export", "Prints all trials for other programs.",
           {{"--csv", "", "A line a trial, RFC 4180."},
            {"--jsonl", "", "A JSON object a trial, as in sweep.jsonl, with the curves."},
            {"--html", "", "The page, as in report.html."},
            {"--output", "FILE", "Into a file instead of standard output."}}),
  };
}

int run_result_command(const CommandLine& line, std::FILE* out) {
  if (line.command == "importance") return importance(line, out);
  if (rank_from_environment() != 0) return 0;
  if (line.command == "show") return show(line, out);
  if (line.command == "best") return best(line, out);
  if (line.command == "export") return export_all(line, out);
  throw UsageError("{}: no such command", line.command);
}

}  // namespace trireme
