// What a sweep's trial costs beside its steps: trials of one config one after another in one process, by the
// phases of each. Not Google Benchmark: prints a Markdown table of medians.
//
//   bench_sweep_trial CONFIG.toml FOLDER [trials] [--set table.key=value]...
//
// FOLDER: trials' run directories are made in it.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/config.h"
#include "data/data_files.h"
#include "train/train.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::array phase_names = {"order to first step begun", "first step", "other steps", "validations",
                                    "last validation to end",    "all"};
using Phases = std::array<double, phase_names.size()>;

double seconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// One trial as the sweep's runner has it.
Phases run_trial(const Config& config, const std::string& folder, bool saves, DataFiles& files) {
  auto self = make_self_communicator();
  Phases phases{};
  Clock::time_point begin = Clock::now(), first_asked = begin, last = begin;
  int64_t steps = 0;
  TrainOptions options;
  options.run_directory = folder;
  options.quiet = true;
  options.console = nullptr;
  options.saves = saves;
  options.durable_notes = false;
  options.files = &files;
  // Asked before every step and in validations: the last time before the first step ends is when it begins.
  options.stop_requested = [&] {
    if (steps == 0) first_asked = Clock::now();
    return false;
  };
  options.hooks.after_step = [&](const TrainRecord&) {
    Clock::time_point now = Clock::now();
    phases[steps == 0 ? 1 : 2] += seconds(steps == 0 ? first_asked : last, now);
    last = now;
    ++steps;
  };
  options.hooks.after_validation = [&](const ValidationRecord&) {
    Clock::time_point now = Clock::now();
    phases[3] += seconds(last, now);
    last = now;
  };
  train(config, *self, options);
  phases[0] = seconds(begin, first_asked);
  phases[4] = seconds(last, Clock::now());
  phases[5] = seconds(begin, Clock::now());
  return phases;
}

void tell(const std::string& title, const std::vector<Phases>& trials) {
  std::printf("| %s | first trial, ms | median of the others, ms (min..max) |\n| --- | --- | --- |\n",
              title.c_str());
  for (size_t i = 0; i < phase_names.size(); ++i) {
    std::vector<double> values;
    for (size_t t = 1; t < trials.size(); ++t) values.push_back(trials[t][i] * 1e3);
    std::sort(values.begin(), values.end());
    std::printf("| %s | %.1f | %.1f (%.1f..%.1f) |\n", phase_names[i], trials[0][i] * 1e3,
                values[values.size() / 2], values.front(), values.back());
  }
  std::printf("\n");
}

int run(int argc, char** argv) {
  if (argc < 3) throw UsageError("bench_sweep_trial CONFIG.toml FOLDER [trials] [--set table.key=value]...");
  int trials = 10;
  std::vector<std::string> overrides;
  for (int i = 3; i < argc; ++i) {
    if (std::string(argv[i]) == "--set" && i + 1 < argc) {
      overrides.emplace_back(argv[++i]);
    } else {
      trials = std::stoi(argv[i]);
    }
  }
  Config config = load_config(argv[1], overrides);
  std::filesystem::path folder = argv[2];
  DataFiles files;
  for (bool saves : {true, false}) {
    std::vector<Phases> all;
    for (int t = 0; t <= trials; ++t) {
      std::string name = fmt::format("{}-{:04}", saves ? "saved" : "light", t);
      std::filesystem::remove_all(folder / name);
      all.push_back(run_trial(config, (folder / name).string(), saves, files));
      std::filesystem::remove_all(folder / name);
    }
    tell(saves ? "with checkpoints" : "without", all);
  }
  return 0;
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  try {
    return trireme::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_sweep_trial: error: %s\n", error.what());
    return 70;
  }
}
