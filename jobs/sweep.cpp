// trireme-sweep: searches hyperparameters inside one job, trials side by side on its ranks.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/atomic_file.h"
#include "comm/run_main.h"
#include "comm/signals.h"
#include "comm/world.h"
#include "config/command_line.h"
#include "config/sweep_config.h"
#include "sweep/crash_note.h"
#include "sweep/plan.h"
#include "sweep/results/commands.h"
#include "sweep/results/live.h"
#include "sweep/runner.h"
#include "sweep/steps/step_launch.h"
#include "sweep/steps/step_runner.h"
#include "sweep/steps/step_trial.h"
#include "sweep/sweep.h"
#include "telemetry/log.h"
#include "train/comm_options.h"
#include "train/job_end.h"
#include "train/placement.h"

namespace {

using namespace trireme;

CommandSuite commands() {
  CommandSpec run{
      .program = "run",
      .summary = "Runs the sweep that SWEEP.toml describes, or goes on with it.",
      .config_reference = help_sweep_config(),
      .options =
          {
              {"--run-dir", "DIR", "Where the sweep lives; default runs/<sweep.name>."},
              {"--fresh", "",
               "Start anew: remove the folder's journal, trials and results instead of going on."},
              {"--plan", "", "Print the space, the budget and the first suggestions, and touch nothing."},
              {"--worker", "N",
               "Be worker N of several jobs that work on the same sweep, each with a number of its own."},
              {"--quiet", "", "Print warnings and errors only."},
          },
      .description =
          "Trials are training runs on some of the job's ranks each; they come from srun --mpi=pmix or "
          "mpirun, "
          "and started alone there is one rank and one trial at a time. With sweep.launcher = \"steps\" they "
          "are steps of their own instead, and this is started once, without srun. Everything that happens "
          "is in the "
          "folder's journal: killed or requeued, the same command goes on, with finished trials kept and "
          "running ones resumed from their checkpoints. SIGTERM, SIGUSR1 and SIGINT, and "
          "checkpoint.before_end_seconds before the end of the SLURM job, stop it with all state saved and "
          "exit code 75.",
      .examples = {"trireme-sweep configs/sweep_lenet.toml --plan",
                   "mpirun -n 4 trireme-sweep configs/sweep_lenet.toml",
                   "trireme-sweep configs/sweep_lenet.toml --set budget.trials=200"},
      .files = {"DIR/best.toml  the config of the best trial, ready for trireme-train",
                "DIR/report.html  the sweep on one page", "DIR/sweep.jsonl  a JSON object a trial",
                "DIR/sweep.toml, DIR/base.toml  what is searched", "DIR/journal/  all that has happened",
                "DIR/trials/NNNN/  the run directory of each trial", "DIR/log.txt  what was said"},
  };
  CommandSpec trial{
      .program = "trial",
      .summary = "Runs one trial in a process of its own, as sweep.launcher = \"steps\" does for each.",
      .takes_config = false,
      .positionals = {{"TRIAL.toml", "The complete config of the training run."}},
      .options = {{"--run-dir", "DIR", "The run directory of the trial; default the folder of TRIAL.toml."},
                  {"--number", "N", "The number of the trial; default 0."},
                  {"--cores", "N", "Cores that a rank may keep busy; default its part of all."}},
      .description =
          "A sweep starts it, and talks with it by lines of JSON on its standard input and output. "
          "Without a sweep trireme-train is what you want."};
  std::vector<CommandSpec> all = result_commands();
  all.insert(all.begin(), std::move(run));
  all.push_back(std::move(trial));
  return {
      .program = "trireme-sweep",
      .summary = "Searches hyperparameters inside one job: trials side by side on its ranks.",
      .default_command = "run",
      .commands = std::move(all),
      .examples = {"mpirun -n 4 trireme-sweep configs/sweep_lenet.toml",
                   "trireme-sweep show runs/lenet --watch 2", "trireme-sweep best configs/sweep_lenet.toml",
                   "mpirun -n 4 trireme-sweep importance runs/lenet",
                   "trireme-sweep export runs/lenet --csv > lenet.csv"}};
}

int64_t number_of(const CommandLine& line, const char* option) {
  std::string text = line.value(option, "0");
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) {
    throw UsageError("{} {}: expected a whole number, 0 or more", option, text);
  }
  return number;
}

void require_mode(const Config& base) {
  if (base.parallel.mode != "allreduce") {
    throw ConfigError("{}: trials of a sweep train with parallel.mode = \"allreduce\", not \"{}\"",
                      base.where("parallel.mode"), base.parallel.mode);
  }
}

// What becomes of the sweep is told by rank 0: to people, and in its folder.
class Told {
 public:
  Told(const CommandLine& line, const SweepConfig& config, const std::string& host, int ranks,
       SweepOptions& options)
      : logger_({.file = log_file(options), .quiet = line.has("--quiet"), .host = host}),
        live_(logger_, LiveOptions{.folder = options.folder}) {
    logger_.info("sweep {} in {}: {} by {} on {} rank{}", config.sweep.name, options.folder.string(),
                 config.sweep.sampler, config.sweep.scheduler, ranks, ranks == 1 ? "" : "s");
    options.tell = [this](const std::string& text) { logger_.info("{}", text); };
    options.publish = [this](const SweepView& view, bool last) {
      live_.update(view, JobEnd::unix_seconds(), last);
    };
  }

 private:
  static std::filesystem::path log_file(const SweepOptions& options) {
    make_directories(options.folder);
    return options.folder / (options.worker == 0 ? "log.txt" : fmt::format("log-{}.txt", options.worker));
  }

  Logger logger_;
  Live live_;
};

// Trials are runs of the same processes, which share MPI.
SweepResult run_by_ranks(const CommandLine& line, const SweepConfig& config, const Config& base,
                         SweepOptions options) {
  World world(comm_options(base.comm));
  world.communicator().activity().set_resumable(true);  // whatever happens to a rank
  Meeting meeting = world.meeting();
  std::unique_ptr<Told> told;
  if (world.rank() == 0) told = std::make_unique<Told>(line, config, world.host(), world.size(), options);
  options.stop_requested =
      stop_by_signal_or_job_end("trireme-sweep", world.rank() == 0 ? base.checkpoint.before_end_seconds : 0);
  TrialRunner runner =
      leave_crash_notes(make_training_runner(place_ranks(world.communicator()).core_sharers));
  return run_sweep(config, base, meeting, runner, options);
}

// Trials are processes of their own, and the sweep's ranks threads of this one.
SweepResult run_by_steps(const CommandLine& line, const SweepConfig& config, const Config& base,
                         StepLaunch launch, SweepOptions options) {
  Told told(line, config, host_name(), launch.slots, options);
  launch.tell = options.tell;
  options.stop_requested = stop_by_signal_or_job_end("trireme-sweep", base.checkpoint.before_end_seconds);
  int slots = launch.slots;
  TrialRunner runner = make_step_runner(std::move(launch));
  SweepResult result;
  run_meeting_ranks(slots, [&](Meeting& meeting) {
    SweepOptions own = options;
    if (meeting.rank != 0) own.stop_requested = {};
    SweepResult found = run_sweep(config, base, meeting, runner, own);
    if (meeting.rank == 0) result = std::move(found);
  });
  return result;
}

int run(const CommandLine& line) {
  SweepConfig config = load_sweep_config(line.config, line.overrides);
  Config base = load_sweep_base(config);
  require_mode(base);
  check_files_exist(base);
  if (line.has("--fresh") && line.has("--worker")) {
    throw UsageError(
        "--fresh would remove what the other workers have done: remove the sweep's folder, or run it once "
        "with "
        "--fresh and without --worker");
  }
  SweepOptions options{.folder = line.value("--run-dir", "runs/" + config.sweep.name),
                       .worker = number_of(line, "--worker"),
                       .fresh = line.has("--fresh")};
  // Everything that can be wrong with the config is found before MPI is started.
  std::optional<StepLaunch> steps;
  if (config.sweep.launcher == "steps") steps = step_launch(config, base);
  std::string plan = plan_text(config, base, steps ? steps->slots : ranks_from_environment());
  if (line.has("--plan")) {
    if (rank_from_environment() == 0) {
      fmt::print("sweep       {} in {}\n{}", config.sweep.name, options.folder.string(), plan);
    }
    return static_cast<int>(ExitCode::done);
  }
  StopSignals signals;
  SweepResult result = steps ? run_by_steps(line, config, base, std::move(*steps), std::move(options))
                             : run_by_ranks(line, config, base, std::move(options));
  return static_cast<int>(result.stopped ? ExitCode::stopped : ExitCode::done);
}

int run_trial(const CommandLine& line) {
  std::filesystem::path config = line.positionals.front();
  run_step_trial({.config = config,
                  .run_directory = line.value("--run-dir", config.parent_path().string()),
                  .number = number_of(line, "--number"),
                  .cores = static_cast<int>(number_of(line, "--cores"))});
  return static_cast<int>(ExitCode::done);
}

int body(int argc, char** argv) {
  CommandLine line = parse_command_line(commands(), argc, argv);
  if (!line.answer.empty()) {
    if (rank_from_environment() == 0) std::fputs(line.answer.c_str(), stdout);
    return static_cast<int>(ExitCode::done);
  }
  if (line.command == "run") return run(line);
  return line.command == "trial" ? run_trial(line) : run_result_command(line, stdout);
}

}  // namespace

int main(int argc, char** argv) { return run_main("trireme-sweep", argc, argv, body); }
