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

void training_step(benchmark::State& state, const std::string& kind, int threads,
                   DType precision = DType::float32) {
  int64_t batch = state.range(0);
  CompileOptions options;
  options.precision = precision;
  Program program = compile_training(training_graph(kind, batch), options);
  auto backend = make_cpu_backend({threads});
  Arenas arenas(program.layout);
  initialize_arenas(program.graph, 1, arenas);
  Buffer workspace(program.plan.bytes);
  Executor executor(program, *backend, arenas, workspace);
  Inputs inputs(program.graph);
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
  ArenaLayout layout = compile_training(training_graph(kind, batch)).layout;
  Program program = compile_evaluation(net_graph(kind, batch, GraphMode::evaluation), layout);
  auto backend = make_cpu_backend({1});
  Arenas arenas(layout);
  initialize_arenas(program.graph, 1, arenas);
  Buffer workspace(program.plan.bytes);
  Executor executor(program, *backend, arenas, workspace);
  Inputs inputs(program.graph);
  for (auto _ : state) executor.step(inputs.addresses, {1, 0, 0, 1.0});
  state.SetItemsProcessed(state.iterations() * batch);
}

BENCHMARK_CAPTURE(training_step, lenet_1_thread, "lenet", 1)->Arg(64)->Arg(32)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(training_step, cnn_1_thread, "cnn", 1)->Arg(64)->Arg(32)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(training_step, mlp_1_thread, "mlp", 1)->Arg(64)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(training_step, cnn_bfloat16_1_thread, "cnn", 1, DType::bfloat16)
    ->Arg(64)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(training_step, mlp_bfloat16_1_thread, "mlp", 1, DType::bfloat16)
    ->Arg(64)
    ->Unit(benchmark::kMicrosecond);
// 4 layers, 4 heads, 128 channels, 128 characters; the lstm of 2 x 256.
BENCHMARK_CAPTURE(training_step, gpt_1_thread, "gpt", 1)->Arg(64)->Arg(16)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(training_step, gpt_bfloat16_1_thread, "gpt", 1, DType::bfloat16)
    ->Arg(64)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(training_step, gpt_2_threads, "gpt", 2)
    ->Arg(64)
    ->Arg(16)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(training_step, lenet_2_threads, "lenet", 2)
    ->Arg(64)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(training_step, cnn_2_threads, "cnn", 2)
    ->Arg(64)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(training_step, cnn4_1_thread, "cnn4", 1)->Arg(64)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(training_step, cnn4_2_threads, "cnn4", 2)
    ->Arg(64)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(evaluation_step, lenet, "lenet")->Arg(256)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(evaluation_step, cnn, "cnn")->Arg(256)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace trireme::bench

BENCHMARK_MAIN();
