// How busy a sweep keeps its ranks, and how long a free rank waits for its next trial: a whole sweep, journal
// and all, under mpirun, whose trials take a while and train nothing. Not Google Benchmark: prints a row of a
// Markdown table. Run by perf/sweep_dispatch.
//
//   mpirun -n RANKS bench_sweep_dispatch FOLDER TRIALS SECONDS SAMPLER sleep|compute
//
// FOLDER: an empty one for the sweep. Trials take SECONDS on average, evenly spread between a half and one
// and a half of it, asleep or computing.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <string>
#include <thread>

#include "base/atomic_file.h"
#include "base/rng.h"
#include "comm/run_main.h"
#include "comm/world.h"
#include "config/sweep_config.h"
#include "sweep/sweep.h"
#include "train/comm_options.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

// Three reports a trial.
TrialEnd pretend(const TrialOrder& order, double mean_seconds, bool computes,
                 const std::function<Verdict(const TrialMeasure&)>& report,
                 const std::function<bool()>& stop) {
  RandomStream random(1, Purpose::test, static_cast<uint64_t>(order.trial));
  auto length = std::chrono::duration<double>(mean_seconds * (0.5 + random.uniform()));
  Clock::time_point begin = Clock::now();
  double loss = 1 + random.uniform();
  for (int epoch = 1; epoch <= 3; ++epoch) {
    auto until = begin + length * (epoch / 3.0);
    while (Clock::now() < until) {
      if (stop()) return {.state = TrialEnd::State::interrupted, .reason = {}, .steps = epoch};
      if (computes) {
        for (int i = 0; i < 20000; ++i) loss = std::sqrt(loss) + 0.5;
      } else {
        auto left = std::chrono::duration<double>(until - Clock::now());
        std::this_thread::sleep_for(std::min(left, std::chrono::duration<double>(0.005)));
      }
    }
    TrialMeasure measure{.epoch = epoch, .step = epoch, .seconds = length.count(), .figures = {}};
    measure.figures["validation.loss"] = loss + random.uniform();
    report(measure);
  }
  return {.state = TrialEnd::State::finished, .reason = {}, .steps = 3};
}

int run(int argc, char** argv) {
  if (argc != 6) throw UsageError("bench_sweep_dispatch FOLDER TRIALS SECONDS SAMPLER sleep|compute");
  std::filesystem::path folder = argv[1];
  std::string trials = argv[2];
  double mean_seconds = std::stod(argv[3]);
  std::string sampler = argv[4];
  bool computes = std::string(argv[5]) == "compute";

  World world;
  if (world.rank() == 0) {
    write_file_atomically(folder / "base.toml",
                          "[data]\ntrain = \"none.h5\"\nvalidation = \"none.h5\"\n[train]\nepochs = 3\n");
  }
  world.communicator().barrier();
  SweepConfig config = parse_sweep_config("[sweep]\nbase = \"base.toml\"\nsampler = \"" + sampler +
                                              "\"\n[budget]\ntrials = " + trials +
                                              "\n[space]\noptimizer.learning_rate = { log_uniform = [1e-4, "
                                              "1.0] }\ndata.batch = { int = [1, 64] }\n"
                                              "optimizer.weight_decay = { uniform = [0.0, 0.1] }\n",
                                          (folder / "sweep.toml").string());
  Config base = load_sweep_base(config);
  Meeting meeting = world.meeting();
  TrialRunner runner = [&](const TrialOrder& order, Communicator&,
                           const std::function<Verdict(const TrialMeasure&)>& report, KeptState*,
                           const std::function<bool()>& stop) {
    return pretend(order, mean_seconds, computes, report, stop);
  };
  SweepResult result = run_sweep(config, base, meeting, runner, {.folder = folder / "run"});
  if (world.rank() == 0) {
    fmt::print("| {} | {} | {} | {} | {:.1f} | {:.2f} | {:.3f} | {:.3f} |\n", world.size(), sampler, trials,
               argv[5], result.seconds, 100 * result.busy_share, 1e3 * result.dispatch_seconds,
               1e3 * result.slow_dispatch_seconds);
  }
  return 0;
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  return trireme::run_main("bench_sweep_dispatch", argc, argv,
                           [](int count, char** words) { return trireme::run(count, words); });
}
