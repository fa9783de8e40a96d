// One training step (forward and backward, no exchange, no update) and one evaluation step of each net.
//   build/release/bin/bench_step --benchmark_repetitions=5
// items_per_second counts samples.
#include <benchmark/benchmark.h>

#include <vector>

#include "exec/compile.h"
#include "exec/executor.h"
#include "exec/initialize.h"
#include "perf/bench/nets.h"

namespace trireme::bench {
namespace {

struct Inputs {
  explicit Inputs(int64_t batch)
      : images(static_cast<size_t>(batch * 784)), labels(static_cast<size_t>(batch)) {
    for (size_t i = 0; i < images.size(); ++i) images[i] = static_cast<float>(i % 255) / 255.0f;
    for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int32_t>(i % 10);
    addresses[0] = images.data();
    addresses[1] = labels.data();
  }
  std::vector<float> images;
  std::vector<int32_t> labels;
  const void* addresses[2];
};

void training_step(benchmark::State& state, const std::string& kind, int threads) {
  int64_t batch = state.range(0);
  Program program = compile_training(training_graph(kind, batch));
  auto backend = make_cpu_backend({threads});
  Arenas arenas(program.layout);
  initialize_arenas(program.graph, 1, arenas);
  Buffer workspace(program.plan.bytes);
  Executor executor(program, *backend, arenas, workspace);
  Inputs inputs(batch);
  StepScalars scalars{1, 0, 0, 1.0 / static_cast<double>(batch)};
  for (auto _ : state) {
    backend->parameters_changed();
    executor.step(inputs.addresses, scalars);
    ++scalars.step;
  }
  state.SetItemsProcessed(state.iterations() * batch);
}

void evaluation_step(benchmark::State& state, const std::string& kind) {
  int64_t batch = state.range(0);
  ModelConfig model;
  model.kind = kind;
  ArenaLayout layout = compile_training(training_graph(kind, batch)).layout;
  Program program =
      compile_evaluation(build_model(model, fashion, batch, GraphMode::evaluation), layout);
  auto backend = make_cpu_backend({1});
  Arenas arenas(layout);
  initialize_arenas(program.graph, 1, arenas);
  Buffer workspace(program.plan.bytes);
  Executor executor(program, *backend, arenas, workspace);
  Inputs inputs(batch);
  for (auto _ : state) executor.step(inputs.addresses, {1, 0, 0, 1.0});
  state.SetItemsProcessed(state.iterations() * batch);
}

BENCHMARK_CAPTURE(training_step, lenet_1_thread, "lenet", 1)->Arg(64)->Arg(32)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(training_step, cnn_1_thread, "cnn", 1)->Arg(64)->Arg(32)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(training_step, mlp_1_thread, "mlp", 1)->Arg(64)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(training_step, lenet_2_threads, "lenet", 2)
    ->Arg(64)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(training_step, cnn_2_threads, "cnn", 2)
    ->Arg(64)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(evaluation_step, lenet, "lenet")->Arg(256)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(evaluation_step, cnn, "cnn")->Arg(256)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace trireme::bench

BENCHMARK_MAIN();
