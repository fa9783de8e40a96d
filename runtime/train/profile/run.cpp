#include "train/profile/run.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/replace_file.h"
#include "telemetry/log.h"
#include "train/profile/report.h"
#include "train/profile/trace.h"
#include "train/session.h"
#include "train/step_loop.h"
#include "train/together.h"

namespace trireme {
namespace {

// Of all ranks together: some 100 MB of text, as much as viewers take.
constexpr size_t most_trace_events = 600'000;

// That the ranks of a host copy together, to see how fast it can: more than caches hold. The least of a rank
// is still more than a core's own.
constexpr size_t copied_bytes_of_host = size_t{256} << 20;
constexpr size_t least_copied_bytes = size_t{16} << 20;

// What is no part of a step is left out, and a step gone wrong ends the profile.
Config config_to_profile(Config config) {
  config.data.validation.clear();
  config.train.on_nan = "stop";
  return config;
}

int64_t samples_of(const Session& session, int64_t first_step, int64_t steps) {
  int64_t all = session.data.training->size(), batch = session.config.data.batch, samples = 0;
  for (int64_t step = first_step; step < first_step + steps; ++step) {
    int64_t begin = step % session.length.steps_per_epoch * batch;
    samples += std::min(all, begin + batch) - begin;
  }
  return samples;
}

// Read and written by the update of this rank: gradients and parameters, slots, the moving average. Where the
// optimizer is sharded, a rank has its share of parameters, about.
double update_bytes(const Session& session) {
  bool sharded = session.config.allreduce.shard_optimizer;
  double bytes = 0;
  for (const auto& net : session.learner->nets()) {
    auto parameters = static_cast<double>(net->arenas().layout.parameter_elements * sizeof(float));
    bytes += 3 * parameters / (sharded ? session.communicator.size() : 1);
    bytes += 2 * static_cast<double>(net->state_bytes());
    if (net->optimizer().ema_decay > 0) bytes += 3 * parameters;
  }
  return bytes;
}

// Collective: every rank's events, on rank 0; one rank after the other, so that no rank holds more than two.
std::vector<std::string> gather(Communicator& communicator, std::string own) {
  std::vector<std::string> all;
  for (int rank = 0; rank < communicator.size(); ++rank) {
    std::string text = rank == communicator.rank() ? own : std::string();
    size_t size = text.size();
    communicator.broadcast(&size, sizeof size, rank);
    text.resize(size);
    communicator.broadcast(text.data(), size, rank);
    if (communicator.rank() == 0) all.push_back(std::move(text));
  }
  return all;
}

}  // namespace

int64_t profile_steps_of(const std::string& text) {
  int64_t steps = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, steps);
  if (error != std::errc() || rest != end || steps < 1 || steps > most_profile_steps) {
    throw UsageError("--profile {}: the number of steps to time is needed, 1 to {}", text,
                     most_profile_steps);
  }
  return steps;
}

void require_profile(const Config& config) {
  if (config.parallel.mode != "parameter_server") return;
  throw ConfigError(
      "{}: parallel.mode = \"parameter_server\": its processes do not step together, so --profile has no "
      "step to tell of; profile the net with --set parallel.mode=allreduce",
      config.where("parallel.mode"));
}

ProfileOutcome profile_training(const Config& given, Communicator& communicator,
                                const ProfileOptions& options) {
  require_profile(given);
  const Config config = config_to_profile(given);
  communicator.activity().begin_phase("loading");
  StepTimeline timeline(profile_warm_up_steps,
                        options.steps);  // outlives the exchanger's thread, which writes to it
  Session session(config, communicator);
  session.length.total_steps = profile_warm_up_steps + options.steps;
  session.learner->observe(&timeline);

  TrainOptions steps;
  steps.stop_requested = options.stop_requested;
  steps.saves = false;
  steps.timeline = &timeline;
  Logger log({.console = nullptr, .quiet = true, .rank = communicator.rank()});
  RunPosition position;
  communicator.barrier();
  StepTimeline::Clock::time_point origin = StepTimeline::Clock::now();  // the same moment on all ranks, about
  LoopEnd end = run_steps(session, position, {}, steps, {}, nullptr, nullptr, log);
  session.learner->observe(nullptr);
  ProfileOutcome outcome;
  outcome.stopped = end.stopped;
  if (outcome.stopped) return outcome;

  communicator.activity().begin_phase("measuring the machine");
  communicator.barrier();  // what a rank can do while all the others do the same
  int hosts = session.placement.hosts;
  auto ranks_of_host = static_cast<size_t>((communicator.size() + hosts - 1) / hosts);
  size_t copied = std::max(copied_bytes_of_host / ranks_of_host, least_copied_bytes);
  on_every_rank(communicator, [&] {
    outcome.rates = measure_machine(session.threads, config.train.precision == "bfloat16", copied);
  });
  size_t share = most_trace_events / static_cast<size_t>(communicator.size());
  std::vector<std::string> events =
      gather(communicator, trace_events(timeline.recording(), communicator.rank(), origin, share));
  outcome.file = options.run_directory / "profile.json";
  on_rank_zero(communicator, [&] {
    make_directories(options.run_directory);
    replace_file(outcome.file, trace_file(events));
    outcome.figures = figures_of(timeline.recording(), outcome.rates, update_bytes(session));
    ProfileSetting setting;
    setting.name = config.run.name;
    setting.warm_up = profile_warm_up_steps;
    setting.samples = samples_of(session, profile_warm_up_steps, options.steps);
    setting.ranks = communicator.size();
    setting.threads = session.threads;
    setting.exchanges_beside = session.overlap;
    setting.backend = config.train.backend;
    setting.precision = config.train.precision;
    setting.left_out = position.skipped_steps;
    outcome.report = report_text(outcome.figures, outcome.rates, setting);
  });
  return outcome;
}

}  // namespace trireme
