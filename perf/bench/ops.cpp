// Every node of every net's training step by itself, on the CPU backend, one thread, batch 64: the profile
// behind the step. FLOP/s come from the op table.
//   build/release/bin/bench_ops --benchmark_filter=lenet
#include <benchmark/benchmark.h>

#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "base/buffer.h"
#include "exec/compile.h"
#include "graph/op.h"
#include "perf/bench/nets.h"

namespace trireme::bench {
namespace {

// A net with memory of its own for every value.
struct Net {
  Net(const std::string& kind, int64_t batch) : graph(compile_training(training_graph(kind, batch)).graph) {
    for (const Value& value : graph.values) {
      memory.emplace_back(value.type.bytes());
      // Small numbers in floats, class 0 in labels and argmax.
      if (value.type.dtype == DType::float32) {
        for (float& x : memory.back().span<float>())
          x = 0.01f * static_cast<float>((&x - memory.back().as<float>()) % 97);
      }
      addresses.push_back(memory.back().data());
    }
  }
  Graph graph;
  std::deque<Buffer> memory;
  std::vector<void*> addresses;
};

void run_node(benchmark::State& state, const std::shared_ptr<Net>& net, size_t index) {
  auto backend = make_cpu_backend({1});
  const Node& node = net->graph.nodes[index];
  Kernel kernel = backend->bind(net->graph, node, net->addresses);
  StepScalars scalars{1, 0, 0, 1.0 / 64};
  for (auto _ : state) {
    backend->parameters_changed();
    kernel(scalars);
  }
  const Op& op = find_op(node.op);
  double flops = op.flops == nullptr ? 0 : op.flops(net->graph, node);
  state.counters["FLOP/s"] =
      benchmark::Counter(flops * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void register_nodes() {
  for (const char* kind : {"lenet", "cnn", "mlp"}) {
    auto net = std::make_shared<Net>(kind, 64);
    for (size_t i = 0; i < net->graph.nodes.size(); ++i) {
      const Node& node = net->graph.nodes[i];
      std::string name = std::string(kind) + "/" + node.origin + "/" + node.op;
      benchmark::RegisterBenchmark(name.c_str(), [net, i](benchmark::State& state) {
        run_node(state, net, i);
      })->Unit(benchmark::kMicrosecond);
    }
  }
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) {
  trireme::bench::register_nodes();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
