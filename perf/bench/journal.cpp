// What a sweep pays for its journal: a line, a line that is on the disk, reading back, a claimed trial
// number. TMPDIR says which file system is measured.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "sweep/shared_journals.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "trireme-bench-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

Record report(int64_t epoch) {
  return {.number = 0,
          .time = 0,
          .what = ReportRecord{.trial = 0,
                               .epoch = epoch,
                               .step = 469 * epoch,
                               .seconds = 0.731 * static_cast<double>(epoch),
                               .figures = {{"validation.loss", 0.40581}, {"validation.accuracy", 0.8473}},
                               .scores = {0.40581}}};
}

// The mean is what the table says; the counters are of single lines, in microseconds.
void append(benchmark::State& state) {
  using Clock = std::chrono::steady_clock;
  Folder folder;
  JournalWriter writer(folder.path / "0.trj");
  std::vector<double> microseconds;
  int64_t epoch = 0;
  for (auto _ : state) {
    Clock::time_point before = Clock::now();
    writer.append(report(++epoch));
    microseconds.push_back(std::chrono::duration<double, std::micro>(Clock::now() - before).count());
  }
  std::sort(microseconds.begin(), microseconds.end());
  state.counters["p50_us"] = microseconds[microseconds.size() / 2];
  state.counters["p99_us"] = microseconds[microseconds.size() * 99 / 100];
  state.counters["max_us"] = microseconds.back();
}
BENCHMARK(append)->Unit(benchmark::kMicrosecond)->UseRealTime();

void append_and_sync(benchmark::State& state) {
  Folder folder;
  JournalWriter writer(folder.path / "0.trj");
  int64_t epoch = 0;
  for (auto _ : state) {
    writer.append(report(++epoch));
    writer.sync();
  }
}
BENCHMARK(append_and_sync)->Unit(benchmark::kMicrosecond)->UseRealTime();

void read_back(benchmark::State& state) {
  Folder folder;
  {
    JournalWriter writer(folder.path / "0.trj");
    for (int64_t i = 0; i < state.range(0); ++i) writer.append(report(i + 1));
  }
  for (auto _ : state) benchmark::DoNotOptimize(read_journal(folder.path / "0.trj"));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(read_back)->Arg(10000)->Unit(benchmark::kMillisecond);

void apply(benchmark::State& state) {
  for (auto _ : state) {
    History history;
    SuggestRecord suggest;
    suggest.point = {0.5};
    history.apply({.number = 0, .time = 0, .what = suggest});
    BeginRecord begin;
    history.apply({.number = 0, .time = 0, .what = begin});
    for (int64_t i = 0; i < state.range(0); ++i) history.apply(report(i + 1));
    benchmark::DoNotOptimize(history);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(apply)->Arg(10000)->Unit(benchmark::kMillisecond);

void claim(benchmark::State& state) {
  Folder folder;
  TrialClaims claims(folder.path, 1);
  History history(false, true);
  for (auto _ : state) benchmark::DoNotOptimize(claims.claim(history));
}
BENCHMARK(claim)->Unit(benchmark::kMicrosecond)->UseRealTime();

}  // namespace
}  // namespace trireme

BENCHMARK_MAIN();
