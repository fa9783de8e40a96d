// trireme-train: trains a network as a TOML file says, on as many ranks as it is started with.
#include <cstdio>
#include <functional>
#include <string>

#include "comm/run_main.h"
#include "comm/signals.h"
#include "comm/world.h"
#include "config/command_line.h"
#include "config/config.h"
#include "train/comm_options.h"
#include "train/job_end.h"
#include "train/parameter_server/run.h"
#include "train/plan_report.h"
#include "train/profile/run.h"
#include "train/train.h"

namespace {

using namespace trireme;

const CommandSpec command{
    .program = "trireme-train",
    .summary = "Trains a network on as many ranks as it is started with.",
    .options =
        {
            {"--run-dir", "DIR", "Where the run lives; default runs/<run.name>."},
            {"--fresh", "",
             "Start anew: remove the run directory's checkpoints and metrics instead of resuming."},
            {"--plan", "", "Print what would run (nodes, shapes, FLOPs, bytes) and touch nothing."},
            {"--profile", "N",
             "Time N steps from a fresh start, print where their time goes (by op and by phase, beside what "
             "this machine can do) and write DIR/profile.json, a trace for Perfetto or chrome://tracing. "
             "Nothing is trained on, saved or resumed; a run in DIR stays as it is."},
            {"--join", "",
             "With parallel.mode = \"parameter_server\": be one more worker of the job that runs in "
             "--run-dir."},
            {"--quiet", "", "Print warnings and errors only."},
        },
    .description =
        "A run resumes from the newest good checkpoint in its run directory; a finished run says so and is "
        "left alone. Ranks come from srun --mpi=pmix or mpirun; started alone it is one rank. SIGTERM, "
        "SIGUSR1 and SIGINT, and checkpoint.before_end_seconds before the end of its SLURM job, end it at "
        "the next "
        "step with its state saved and exit code 75.",
    .examples = {"trireme-train configs/fashion_cnn_quick.toml",
                 "mpirun -n 2 trireme-train configs/fashion_cnn_quick.toml --set train.epochs=3",
                 "trireme-train configs/fashion_cnn.toml --plan",
                 "trireme-train configs/fashion_cnn.toml --profile 100"},
    .files = {"DIR/config.toml  the resolved config", "DIR/metrics.jsonl  a JSON object a line",
              "DIR/summary.json  how the run ended", "DIR/log.txt  what was said",
              "DIR/checkpoints/  the newest checkpoints", "DIR/profile.json  the trace of --profile"},
};

// The ranks agree on stopping anyhow: one of them looks at the clock.
std::function<bool()> stop_of(const Config& config, bool watches_clock) {
  return stop_by_signal_or_job_end("trireme-train", watches_clock ? config.checkpoint.before_end_seconds : 0);
}

TrainOptions options_of(const CommandLine& line, const Config& config) {
  TrainOptions options;
  options.run_directory = line.value("--run-dir", "runs/" + config.run.name);
  options.fresh = line.has("--fresh");
  options.quiet = line.has("--quiet");
  return options;
}

// What is wrong with --profile on the command line.
void check_profile(const CommandLine& line) {
  if (!line.has("--profile")) return;
  profile_steps_of(line.value("--profile"));
  for (const char* other : {"--plan", "--fresh", "--join"}) {
    if (line.has(other)) {
      throw UsageError("--profile with {}: a profile only measures; leave one of the two out", other);
    }
  }
}

int run_profile(const CommandLine& line, const Config& config, World& world, const TrainOptions& options) {
  ProfileOptions profile;
  profile.run_directory = options.run_directory;
  profile.steps = profile_steps_of(line.value("--profile"));
  profile.stop_requested = options.stop_requested;
  ProfileOutcome outcome = profile_training(config, world.communicator(), profile);
  if (world.rank() == 0 && outcome.stopped) {
    std::fputs("stopped by request before all steps were timed: there is no profile\n", stderr);
  } else if (world.rank() == 0) {
    std::printf("%s\ntrace of all ranks: %s (open it in https://ui.perfetto.dev or chrome://tracing)\n",
                outcome.report.c_str(), outcome.file.c_str());
  }
  return static_cast<int>(outcome.stopped ? ExitCode::stopped : ExitCode::done);
}

// Without MPI: processes of this mode must not die of each other.
int run_served(const CommandLine& line, const Config& config) {
  Launch launch = launch_from_environment(Meets::by_themselves);
  bool joins = line.has("--join");
  Roles roles = joins ? role_of_joiner() : roles_of(config, launch, node_place_from_environment(launch));
  return run_apart("trireme-train", [&] {
    StopSignals signals;
    TrainOptions options = options_of(line, config);
    options.stop_requested = stop_of(config, roles.serves());
    return run_parameter_server(config, launch, roles, options);
  });
}

int body(int argc, char** argv) {
  CommandLine line = parse_command_line(command, argc, argv);
  if (!line.answer.empty()) {
    if (rank_from_environment() == 0) std::fputs(line.answer.c_str(), stdout);
    return static_cast<int>(ExitCode::done);
  }
  check_profile(line);
  // Everything that can be wrong with config and files is found before MPI is started or memory taken.
  Config config = load_config(line.config, line.overrides);
  require_training_keys(config);
  check_files_exist(config);
  bool served = config.parallel.mode == "parameter_server";
  Meets meets = served ? Meets::by_themselves : Meets::by_mpi;
  if (line.has("--plan")) {
    Launch launch = launch_from_environment(meets);
    if (launch.rank == 0) {
      std::printf("run         in %s, parallel.mode %s\n", options_of(line, config).run_directory.c_str(),
                  config.parallel.mode.c_str());
      std::fputs(plan_report(config, launch.size).c_str(), stdout);
    }
    // Planned by no launcher, it tells nothing of how many there will be.
    if (launch.rank == 0 && served && launch.launcher != "none") {
      Roles roles = roles_of(config, launch, node_place_from_environment(launch));
      std::printf("processes   %s\n", roles_text(config, roles).c_str());
    }
    return static_cast<int>(ExitCode::done);
  }

  if (line.has("--profile")) require_profile(config);
  if (served) return run_served(line, config);
  if (line.has("--join")) {
    throw ConfigError("{}: --join: parallel.mode = \"{}\" has no workers that come later",
                      config.where("parallel.mode"), config.parallel.mode);
  }

  StopSignals signals;
  World world(comm_options(config.comm));
  TrainOptions options = options_of(line, config);
  if (world.size() > 1) {
    options.network = world.network();
    options.exchange = world.backend();
  }
  options.stop_requested = stop_of(config, world.rank() == 0);
  if (line.has("--profile")) return run_profile(line, config, world, options);
  TrainResult result = train(config, world.communicator(), options);
  return static_cast<int>(result.state == Outcome::stopped ? ExitCode::stopped : ExitCode::done);
}

}  // namespace

int main(int argc, char** argv) { return run_main("trireme-train", argc, argv, body); }
