// trireme-sweep: searches hyperparameters inside one job, trials side by side on its ranks.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <functional>
#include <memory>
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
          "and started alone there is one rank and one trial at a time. Everything that happens is in the "
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
  std::vector<CommandSpec> all = result_commands();
  all.insert(all.begin(), std::move(run));
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

int64_t worker_of(const CommandLine& line) {
  std::string text = line.value("--worker", "0");
  int64_t worker = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), worker);
  if (error != std::errc() || end != text.data() + text.size() || worker < 0) {
    throw UsageError("--worker {}: expected a whole number, 0 or more", text);
  }
  return worker;
}

// Trials are runs of the same processes, which share MPI.
void require_ranks_launcher(const SweepConfig& config, const Config& base) {
  if (base.parallel.mode != "allreduce") {
    throw ConfigError("{}: trials of a sweep train with parallel.mode = \"allreduce\", not \"{}\"",
                      base.where("parallel.mode"), base.parallel.mode);
  }
  if (config.sweep.launcher != "ranks") {
    throw ConfigError("{}: this version launches trials by \"ranks\" alone", config.where("sweep.launcher"));
  }
}

int run(const CommandLine& line) {
  SweepConfig config = load_sweep_config(line.config, line.overrides);
  Config base = load_sweep_base(config);
  require_ranks_launcher(config, base);
  check_files_exist(base);
  int64_t worker = worker_of(line);
  std::string folder = line.value("--run-dir", "runs/" + config.sweep.name);
  // Everything that can be wrong with the config is found before MPI is started.
  std::string plan = plan_text(config, base, ranks_from_environment());
  if (line.has("--plan")) {
    if (rank_from_environment() == 0) fmt::print("sweep       {} in {}\n{}", config.sweep.name, folder, plan);
    return static_cast<int>(ExitCode::done);
  }

  StopSignals signals;
  World world(comm_options(base.comm));
  Meeting meeting = world.meeting();
  SweepOptions options{.folder = folder, .worker = worker, .fresh = line.has("--fresh")};
  std::unique_ptr<Logger> logger;
  std::unique_ptr<Live> live;
  if (world.rank() == 0) {
    make_directories(folder);
    std::string log = worker == 0 ? "log.txt" : fmt::format("log-{}.txt", worker);
    logger = std::make_unique<Logger>(LogOptions{
        .file = std::filesystem::path(folder) / log, .quiet = line.has("--quiet"), .host = world.host()});
    logger->info("sweep {} in {}: {} by {} on {} rank{}", config.sweep.name, folder, config.sweep.sampler,
                 config.sweep.scheduler, world.size(), world.size() == 1 ? "" : "s");
    options.tell = [&](const std::string& text) { logger->info("{}", text); };
    live = std::make_unique<Live>(*logger, LiveOptions{.folder = folder});
    options.publish = [&](const SweepView& view, bool last) {
      live->update(view, JobEnd::unix_seconds(), last);
    };
  }
  options.stop_requested =
      stop_by_signal_or_job_end("trireme-sweep", world.rank() == 0 ? base.checkpoint.before_end_seconds : 0);
  TrialRunner runner =
      leave_crash_notes(make_training_runner(place_ranks(world.communicator()).core_sharers));
  SweepResult result = run_sweep(config, base, meeting, runner, options);
  return static_cast<int>(result.stopped ? ExitCode::stopped : ExitCode::done);
}

int body(int argc, char** argv) {
  CommandLine line = parse_command_line(commands(), argc, argv);
  if (!line.answer.empty()) {
    if (rank_from_environment() == 0) std::fputs(line.answer.c_str(), stdout);
    return static_cast<int>(ExitCode::done);
  }
  return line.command == "run" ? run(line) : run_result_command(line, stdout);
}

}  // namespace

int main(int argc, char** argv) { return run_main("trireme-sweep", argc, argv, body); }
