// Every node of every net's training step by itself, on the CPU backend, one thread, batch 64: the profile
// behind the step. FLOP/s come from the op table.
//   build/release/bin/bench_ops --benchmark_filter=lenet
#include <benchmark/benchmark.h>

#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/buffer.h"
#include "exec/compile.h"
#include "graph/op.h"
#include "perf/bench/nets.h"

namespace trireme::bench {
namespace {

// A graph with memory of its own for every value.
struct Net {
  Net(const std::string& kind, int64_t batch) : Net(compile_training(training_graph(kind, batch)).graph) {}
  explicit Net(Graph of) : graph(std::move(of)) {
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

// The ops of a transformer's block and head by themselves, forward and backward: 64 samples of 128 positions
// and 128 channels, four heads, 256 classes; and attention over other lengths and head sizes, at equal
// operations.
Graph transformer_graph(int64_t samples, int64_t length, int64_t channels, int64_t heads) {
  Graph graph;
  GraphWriter writer(graph, "transformer");
  auto input = [&](const char* name, Shape shape, DType type = DType::float32) {
    return graph.add_input(name, {type, std::move(shape)});
  };
  Shape rows = {samples, length, channels};
  ValueId x = input("x", rows), dy = input("dy", rows);
  ValueId tokens = input("tokens", {samples, length}, DType::int32);
  ValueId qkv = input("qkv", {samples, length, 3 * channels});
  ValueId wide = input("wide", {samples, length, 4 * channels});
  auto weight = [&](int64_t in, int64_t out) { return input("weight", {in, out}); };
  ValueId table = weight(256, channels), channel = input("channel", {channels});
  // Forward and, from `gradient`, backward.
  auto both = [&](const char* op, std::vector<ValueId> inputs, ValueId gradient, Attributes attributes = {}) {
    writer.add(op, inputs, attributes);
    Node node = graph.nodes.back();
    find_op(op).gradient(writer, node, gradient);
  };
  both("attention", {qkv}, dy, {{"heads", heads}});
  if (samples * length != 64 * 128 || channels != 128) return graph;
  both("attention", {qkv}, dy, {{"heads", heads}, {"rate", 0.1}, {"layer", int64_t{1}}});
  both("embedding", {tokens, table, weight(length, channels)}, dy);
  both("layer_norm", {x, channel, channel}, dy);
  both("gelu", {wide}, wide);
  both("add", {x, dy}, dy);
  both("dropout", {x}, dy);
  both("linear", {x, weight(channels, 3 * channels), input("bias", {3 * channels})}, qkv);
  both("linear", {x, weight(channels, channels), channel}, dy);
  both("linear", {x, weight(channels, 4 * channels), input("bias", {4 * channels})}, wide);
  both("linear", {wide, weight(4 * channels, channels), channel}, dy);
  ValueId logits = input("logits", {samples, length, 256});
  both("linear", {x, table}, logits, {{"transposed", int64_t{1}}});
  both("softmax_cross_entropy", {logits, tokens}, no_id);
  writer.add("top1_correct", {logits, tokens});
  return graph;
}

void register_transformer() {
  struct Size {
    int64_t samples, length, channels, heads;
  };
  for (Size size :
       {Size{64, 128, 128, 4}, Size{16, 256, 256, 4}, Size{4, 512, 384, 6}, Size{2, 1024, 512, 4}}) {
    auto net = std::make_shared<Net>(transformer_graph(size.samples, size.length, size.channels, size.heads));
    for (size_t i = 0; i < net->graph.nodes.size(); ++i) {
      const Node& node = net->graph.nodes[i];
      std::string name = "transformer/" + std::to_string(size.length) + "x" +
                         std::to_string(size.channels / size.heads) + "/" + std::to_string(i) + "/" + node.op;
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
  trireme::bench::register_transformer();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
