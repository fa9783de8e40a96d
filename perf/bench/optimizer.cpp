// Every update rule over one arena, beside what memory allows: memcpy, and a loop that reads and writes as
// many streams as adam does and computes next to nothing. One thread and two.
//   build/release/bin/bench_optimizer --benchmark_repetitions=5
// bytes_per_second counts what must be read and written once; items_per_second counts parameters.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/clones.h"
#include "base/parallel.h"
#include "optim/norm.h"
#include "optim/optimizer.h"

namespace trireme::bench {
namespace {

constexpr int64_t values_at_once = 1 << 15;

// Values in [-0.5, 0.5): no denormals, no nan.
Buffer numbers(size_t count) {
  Buffer buffer(count * sizeof(float));
  for (size_t i = 0; i < count; ++i) buffer.as<float>()[i] = static_cast<float>(i % 1009) / 1009.0f - 0.5f;
  return buffer;
}

void set_rates(benchmark::State& state, double bytes_per_parameter) {
  auto parameters = static_cast<double>(state.iterations() * state.range(0));
  state.SetItemsProcessed(static_cast<int64_t>(parameters));
  state.SetBytesProcessed(static_cast<int64_t>(parameters * bytes_per_parameter));
}

// One tensor of a million values after the other, as in large nets.
void update(benchmark::State& state, const std::string& kind, double bytes_per_parameter) {
  auto size = static_cast<size_t>(state.range(0));
  OptimizerConfig config;
  config.kind = kind;
  config.momentum = 0.9;
  std::vector<UpdateSpan> spans;
  for (size_t begin = 0; begin < size; begin += size_t{1} << 20) {
    spans.push_back({.range = {begin, std::min(size, begin + (size_t{1} << 20))}, .weight_decay = 1e-4});
  }
  auto optimizer = make_optimizer(config, spans);
  optimizer->use_threads(static_cast<int>(state.range(1)));
  Buffer parameters = numbers(size), gradients = numbers(size);
  UpdateStep step{1e-6, 0, 1};
  for (auto _ : state) {
    optimizer->update({0, size}, parameters.as<float>(), gradients.as<float>(), step);
    ++step.step;
  }
  set_rates(state, bytes_per_parameter);
}

void norm(benchmark::State& state) {
  Buffer gradients = numbers(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    double sum = sum_of_squares(gradients.span<const float>(), static_cast<int>(state.range(1)));
    benchmark::DoNotOptimize(sum);
  }
  set_rates(state, 4);
}

void finite(benchmark::State& state) {
  Buffer gradients = numbers(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    bool good = all_finite(gradients.span<const float>(), static_cast<int>(state.range(1)));
    benchmark::DoNotOptimize(good);
  }
  set_rates(state, 4);
}

void copy_memory(benchmark::State& state) {
  auto size = static_cast<size_t>(state.range(0));
  Buffer from = numbers(size), to = numbers(size);
  for (auto _ : state) {
    for_each_part(static_cast<int>(state.range(1)), state.range(0), values_at_once,
                  [&](int64_t begin, int64_t end) {
                    std::memcpy(to.as<float>() + begin, from.as<float>() + begin,
                                static_cast<size_t>(end - begin) * sizeof(float));
                  });
    benchmark::ClobberMemory();
  }
  set_rates(state, 8);
}

TRIREME_CLONES void add_streams(size_t n, float* __restrict p, const float* __restrict g, float* __restrict m,
                                float* __restrict v) {
  for (size_t i = 0; i < n; ++i) {
    m[i] += g[i];
    v[i] += g[i];
    p[i] += g[i];
  }
}

void four_streams(benchmark::State& state) {
  auto size = static_cast<size_t>(state.range(0));
  Buffer p = numbers(size), m = numbers(size), v = numbers(size), g(size * sizeof(float));
  for (auto _ : state) {
    for_each_part(static_cast<int>(state.range(1)), state.range(0), values_at_once,
                  [&](int64_t begin, int64_t end) {
                    add_streams(static_cast<size_t>(end - begin), p.as<float>() + begin,
                                g.as<float>() + begin, m.as<float>() + begin, v.as<float>() + begin);
                  });
    benchmark::ClobberMemory();
  }
  set_rates(state, 28);
}

// The arena of the small GPT, which the second-level caches hold in part, and one that no cache of ours
// holds.
void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"parameters", "threads"})->UseRealTime()->Unit(benchmark::kMicrosecond);
  for (int64_t parameters : {int64_t{820000}, int64_t{1} << 25}) {
    for (int64_t threads : {1, 2}) bench->Args({parameters, threads});
  }
}

BENCHMARK(copy_memory)->Apply(sizes);
BENCHMARK(four_streams)->Apply(sizes);
BENCHMARK_CAPTURE(update, sgd, "sgd", 20)->Apply(sizes);
BENCHMARK_CAPTURE(update, adam, "adam", 28)->Apply(sizes);
BENCHMARK_CAPTURE(update, adamw, "adamw", 28)->Apply(sizes);
BENCHMARK_CAPTURE(update, rmsprop, "rmsprop", 20)->Apply(sizes);
BENCHMARK_CAPTURE(update, adagrad, "adagrad", 20)->Apply(sizes);
BENCHMARK_CAPTURE(update, lars, "lars", 28)->Apply(sizes);
BENCHMARK_CAPTURE(update, lamb, "lamb", 40)->Apply(sizes);
BENCHMARK(norm)->Apply(sizes);
BENCHMARK(finite)->Apply(sizes);

}  // namespace
}  // namespace trireme::bench

BENCHMARK_MAIN();
