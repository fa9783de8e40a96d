// How near a sampler comes to the best value of a known function: run by perf/sweep_quality/compare, which
// has Optuna search the same functions, and by hand:
//
//   bench_sweep_quality [--problems a,b] [--sampler tpe] [--seeds 1..20] [--trials 100] [--parallel 4]
//                       [--tables FOLDER] [--points]
//
// A sweep is simulated: `parallel` trials are pending at a time, and how long each takes is drawn from the
// seed, so that they end in an order of their own. A line a sweep: problem, sampler, seed, milliseconds of a
// suggestion (median and most), and the simple regret (best value so far minus the best there is) after each
// trial that ended. With
// --points also each point and its value, so that the functions of both sides can be compared.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "perf/sweep_quality/held_out.h"
#include "sweep/sampler.h"

using namespace trireme;

namespace {

struct Options {
  std::vector<std::string> problems = problem_names();
  std::string sampler = "tpe", tables = "perf/sweep_quality/tables";
  uint64_t first_seed = 1, last_seed = 20;
  int64_t trials = 100;
  size_t parallel = 4;
  bool points = false;
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    if (name == "--points") {
      options.points = true;
      continue;
    }
    if (i + 1 == argc) throw UsageError("{} needs a value (or is unknown)", name);
    std::string value = argv[++i];
    if (name == "--problems") {
      options.problems = split(value);
    } else if (name == "--sampler") {
      options.sampler = value;
    } else if (name == "--tables") {
      options.tables = value;
    } else if (name == "--seeds") {
      size_t dots = value.find("..");
      options.first_seed = options.last_seed = std::stoull(value);
      if (dots != std::string::npos) options.last_seed = std::stoull(value.substr(dots + 2));
    } else if (name == "--trials") {
      options.trials = std::stoll(value);
    } else if (name == "--parallel") {
      options.parallel = std::stoull(value);
    } else {
      throw UsageError("no such option: {}", name);
    }
  }
  return options;
}

// Seconds that a trial takes, from 1 to 2: of splitmix64, which peer.py has too.
double duration(uint64_t seed, int64_t trial) {
  uint64_t z = seed * 1000003 + static_cast<uint64_t>(trial) + 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  return 1 + static_cast<double>(z >> 11) * 0x1p-53;
}

void apply(History& history, decltype(Record::what) what) {
  Record record;
  record.number = history.records();
  record.what = std::move(what);
  history.apply(record);
}

void run(const Options& options, const Problem& problem, uint64_t seed) {
  SweepConfig config;
  config.sweep.sampler = options.sampler;
  config.sweep.seed = static_cast<int64_t>(seed);
  config.objectives.resize(1);
  std::unique_ptr<Sampler> sampler = make_sampler(config, problem.space);
  History history;
  apply(history, StartRecord{"", 4, ""});
  std::vector<std::pair<double, int64_t>> running;  // when it ends, trial
  std::vector<double> regrets, milliseconds;
  double now = 0, best = std::numeric_limits<double>::infinity();
  int64_t next = 0;
  while (static_cast<int64_t>(regrets.size()) < options.trials) {
    while (running.size() < options.parallel && next < options.trials) {
      auto begin = std::chrono::steady_clock::now();
      std::optional<Suggestion> suggestion = sampler->suggest(history, next);
      milliseconds.push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
      if (!suggestion) throw UsageError("{} has no further point", options.sampler);
      SuggestRecord record;
      record.trial = next;
      record.point = suggestion->point;
      record.parent = suggestion->parent;
      apply(history, record);
      BeginRecord start;
      start.trial = next;
      start.ranks = {0};
      apply(history, start);
      running.emplace_back(now + duration(seed, next), next);
      ++next;
    }
    auto first = std::min_element(running.begin(), running.end());
    auto [end, trial] = *first;
    running.erase(first);
    now = end;
    const Point& point = history.trial(trial).point;
    double value = problem.value(point);
    if (options.points) {
      fmt::print("point,{}", problem.name);
      for (size_t i = 0; i < point.size(); ++i) {
        std::string text = std::isnan(point[i]) ? "" : problem.space.literal(i, point[i]);
        fmt::print(",{}", text.substr(text.find('=') + 1));
      }
      fmt::print(",{:.17g}\n", value);
    }
    ReportRecord report;
    report.trial = trial;
    report.epoch = 1;
    report.step = 1;
    report.scores = {value};
    apply(history, report);
    apply(history, EndRecord{trial, "finished", "", 1, 1});
    best = std::min(best, value);
    regrets.push_back(best - problem.best);
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  fmt::print("{},{},{},{:.3f},{:.3f}", problem.name, options.sampler, seed,
             milliseconds[milliseconds.size() / 2], milliseconds.back());
  for (double regret : regrets) fmt::print(",{:.6g}", regret);
  fmt::print("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Options options = parse(argc, argv);
    for (const std::string& name : options.problems) {
      auto held_out = held_out_names();
      bool is_held_out = std::find(held_out.begin(), held_out.end(), name) != held_out.end();
      Problem problem = is_held_out ? make_held_out(name) : make_problem(name, options.tables);
      for (uint64_t seed = options.first_seed; seed <= options.last_seed; ++seed) run(options, problem, seed);
    }
  } catch (const Error& error) {
    fmt::print(stderr, "bench_sweep_quality: {}\n", error.what());
    return static_cast<int>(error.code());
  }
  return 0;
}
