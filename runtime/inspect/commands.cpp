#include "inspect/commands.h"

#include <charconv>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "config/config.h"
#include "inspect/average_checkpoints.h"
#include "inspect/difference.h"
#include "inspect/export_checkpoint.h"
#include "inspect/import_checkpoint.h"
#include "inspect/list.h"
#include "inspect/new_run.h"
#include "inspect/prune.h"
#include "inspect/show.h"
#include "inspect/verify.h"
#include "inspect/where.h"

namespace trireme {
namespace {

using Warn = std::function<void(const std::string&)>;

template <class Number>
Number number_in(std::string_view option, std::string_view text, Number at_least, std::string_view expected) {
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= at_least) return number;
  throw UsageError("{} {}: expected {}", option, text, expected);
}

int64_t whole_number(const CommandLine& line, std::string_view option, int64_t fallback, int64_t at_least) {
  if (!line.has(option)) return fallback;
  return number_in<int64_t>(option, line.value(option), at_least,
                            fmt::format("a whole number, at least {}", at_least));
}

Where where_of(const CommandLine& line) {
  WhereOptions options{.run_directory = line.value("--run-dir"), .overrides = line.overrides};
  if (line.has("--step")) options.step = whole_number(line, "--step", 0, 0);
  return find_where(line.positionals.front(), options);
}

// One of several arguments, to which no options belong.
Checkpoint open_argument(const std::string& text, const Warn& warn) {
  return open_where(find_where(text), warn);
}

Report run_list(const CommandLine& line, const Warn&) { return list_report(where_of(line)); }
Report run_verify(const CommandLine& line, const Warn&) { return verify_report(where_of(line)); }
Report run_show(const CommandLine& line, const Warn& warn) {
  return show_report(open_where(where_of(line), warn));
}
Report run_diff(const CommandLine& line, const Warn& warn) {
  Checkpoint first = open_argument(line.positionals.at(0), warn);
  return difference_report(first, open_argument(line.positionals.at(1), warn));
}

std::vector<double> weights_of(const CommandLine& line) {
  if (!line.has("--weights")) return std::vector<double>(line.positionals.size(), 1.0);
  std::vector<double> weights;
  std::string text = line.value("--weights");
  for (size_t at = 0; at <= text.size();) {
    size_t comma = std::min(text.find(',', at), text.size());
    weights.push_back(number_in<double>("--weights", std::string_view(text).substr(at, comma - at), 0.0,
                                        "numbers, 0 or more, with commas between"));
    at = comma + 1;
  }
  if (weights.size() != line.positionals.size()) {
    throw UsageError("--weights has {} for {}", counted(static_cast<int64_t>(weights.size()), "number"),
                     counted(static_cast<int64_t>(line.positionals.size()), "checkpoint"));
  }
  return weights;
}

Report run_average(const CommandLine& line, const Warn& warn) {
  if (!line.has("--output")) throw UsageError("average: name the run directory to make with --output DIR");
  std::filesystem::path output = line.value("--output");
  require_no_checkpoints(output);
  CheckpointAverage average(weights_of(line));
  Report report;
  report.json = {{"averaged", nlohmann::ordered_json::array()}};
  for (const std::string& text : line.positionals) {
    Checkpoint checkpoint = open_argument(text, warn);
    average.add(checkpoint);
    report.json["averaged"].push_back(checkpoint.directory().string());
    report.text += fmt::format("  {} (step {})\n", checkpoint.directory().string(), checkpoint.run().step);
  }
  OwnedContent result = average.result();
  std::filesystem::path made = make_run(output, result.content);
  report.json["run_directory"] = output.string();
  report.json["checkpoint"] = made.string();
  report.json["step"] = result.content.run.step;
  report.text = fmt::format("{}: the average of\n{}", made.string(), report.text);
  return report;
}

Report run_export(const CommandLine& line, const Warn& warn) {
  Checkpoint checkpoint = open_where(where_of(line), warn);
  return export_checkpoint(checkpoint, line.positionals.at(1),
                           {.optimizer = line.has("--optimizer"), .average = line.has("--average")});
}

Report run_import(const CommandLine& line, const Warn&) {
  Config config = load_config(line.positionals.at(1), line.overrides);
  require_training_keys(config);
  check_files_exist(config);
  return import_checkpoint(line.positionals.at(0), config, line.value("--run-dir", "runs/" + config.run.name),
                           whole_number(line, "--step", 0, 0));
}

Report run_prune(const CommandLine& line, const Warn& warn) {
  PruneOptions options{.dry_run = line.has("--dry-run")};
  auto count = [&line](std::string_view option) -> std::optional<int64_t> {
    if (!line.has(option)) return std::nullopt;
    return whole_number(line, option, 0, 0);
  };
  options.keep = count("--keep");
  options.keep_every = count("--keep-every");
  options.keep_best = count("--keep-best");
  if (line.has("--metric")) {
    options.metric = line.value("--metric");
    if (*options.metric != "loss" && *options.metric != "accuracy" && *options.metric != "perplexity") {
      throw UsageError("--metric {}: expected loss, accuracy or perplexity", *options.metric);
    }
  }
  return prune(where_of(line), options, warn);
}

const OptionSpec run_directory_option{"--run-dir", "DIR",
                                      "The run of a CONFIG.toml; default runs/<run.name>."};
const OptionSpec step_option{"--step", "N", "The run's checkpoint of step N; the same as WHERE:N."};
const PositionalSpec where_argument{"WHERE", "The run or the checkpoint.", true};

CommandSpec spec(const std::string& name, const std::string& summary,
                 const std::vector<PositionalSpec>& positionals, const std::vector<OptionSpec>& options) {
  // --set goes with those that may be given one CONFIG.toml.
  bool one_config = !options.empty() && options.front().name == "--run-dir";
  return {.program = name,
          .summary = summary,
          .takes_config = false,
          .takes_overrides = one_config,
          .positionals = positionals,
          .options = options};
}

}  // namespace

CommandSuite checkpoint_commands() {
  const PositionalSpec file{"FILE", "A name that ends in .safetensors or .npz.", true};
  CommandSuite suite;
  suite.program = "trireme-checkpoint";
  suite.summary =
      "Looks after the checkpoints of runs: lists, verifies, compares, averages, exports, imports, prunes.";
  suite.default_command = "ls";
  suite.description =
      "WHERE is a run directory (its newest good checkpoint, where one is meant), a checkpoint's folder "
      "(runs/fashion_cnn/checkpoints/step-0000000938), a run and a step (runs/fashion_cnn:938), or the "
      "CONFIG.toml of a run. Nothing is believed before its hash has been verified.\n\nWithout a command it "
      "is ls.";
  suite.commands = {
      spec("ls",
           "Lists a run's checkpoints, newest first: step, epoch, size, age, validation, the number of ranks "
           "and the start of the run that wrote it, and whether it is good, damaged (why) or unfinished.",
           {where_argument}, {run_directory_option, step_option}),
      spec("show",
           "Shows a checkpoint: where it came from, the resolved config, every tensor with its shape, L2 "
           "norm, least and greatest value and the number of values that are not finite.",
           {where_argument}, {run_directory_option, step_option}),
      spec("verify",
           "Verifies every file of a checkpoint, or of all checkpoints of a run, against its manifest; exit "
           "code 65 when one is bad.",
           {where_argument}, {run_directory_option, step_option}),
      spec("diff",
           "Compares two checkpoints: config keys that differ, and how far each tensor of the second is from "
           "the first's.",
           {{"WHERE", "The first.", true}, {"OTHER", "The second.", true}}, {}),
      spec("average",
           "Averages the weights (and moving statistics) of checkpoints of one model into a new run "
           "directory with one checkpoint, of the first one's step. The optimizer's state is left out.",
           {{"WHERE", "The first; its config is the new run's.", true},
            {"OTHER", "And the others.", true, true}},
           {{"--output", "DIR", "The run directory to make."},
            {"--weights", "W,W,...", "A weight for each, 0 or more; default: all alike."}}),
      spec("export",
           "Writes a checkpoint's parameters and states, by their names, to a file that other programs read.",
           {where_argument, file},
           {run_directory_option,
            step_option,
            {"--optimizer", "", "The optimizer's state too, as optimizer/<slot>/<name>."},
            {"--average", "",
             "The run's moving average of the parameters (optimizer.ema_decay) in place of them."}}),
      spec("import",
           "Makes a run directory with a checkpoint of a file's tensors, which must be the parameters and "
           "states of the config's model by name and shape; float16, bfloat16 and float64 are converted. "
           "trireme-train CONFIG.toml goes on from it. The optimizer/ tensors of an export are left out.",
           {file, {"CONFIG.toml", "The TOML file that describes the run.", true}},
           {run_directory_option, {"--step", "N", "The step that the run is to be at; default 0."}}),
      spec(
          "prune",
          "Deletes the checkpoints of a run that need not be kept; the newest good one always stays. What is "
          "not given is as the run's config has it (checkpoint.keep, keep_every, keep_best, metric). A run "
          "that is going on is left alone.",
          {where_argument},
          {run_directory_option,
           {"--keep", "N", "Keep the N newest; 0 keeps all."},
           {"--keep-every", "N", "Keep those of steps that are multiples of N; 0 for none."},
           {"--keep-best", "N", "Keep the N best by --metric."},
           {"--metric", "M", "loss, accuracy or perplexity, of the validation."},
           {"--dry-run", "", "Tell what would be deleted, and touch nothing."}})};
  suite.options = {{"--json", "", "Print one JSON object instead of words."}};
  suite.examples = {"trireme-checkpoint ls runs/fashion_cnn",
                    "trireme-checkpoint verify configs/fashion_cnn.toml --json",
                    "trireme-checkpoint diff runs/a:938 runs/b",
                    "trireme-checkpoint average runs/a:1876 runs/a:2814 runs/a:3752 --output runs/soup",
                    "trireme-checkpoint export runs/a a.safetensors --average",
                    "trireme-checkpoint prune runs/a --keep 2 --keep-best 1 --metric accuracy --dry-run",
                    "trireme-checkpoint import a.safetensors my.toml --run-dir runs/from_a"};
  return suite;
}

Report run_checkpoint_command(const CommandLine& line, const Warn& warn) {
  static const std::map<std::string_view, Report (*)(const CommandLine&, const Warn&)> commands = {
      {"ls", run_list},         {"show", run_show},     {"verify", run_verify}, {"diff", run_diff},
      {"average", run_average}, {"export", run_export}, {"import", run_import}, {"prune", run_prune}};
  return commands.at(line.command)(line, warn);
}

}  // namespace trireme
