// Every node of every net's training step by itself, on the CPU backend, one thread and batch 64 unless
// --threads=N and --batch=N say otherwise: the profile behind the step. FLOP/s come from the op table.
//   build/release/bin/bench_ops --benchmark_filter=lenet
// library/...: the same products and convolutions by oneDNN alone, on float32 arithmetic.
#include <benchmark/benchmark.h>

#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
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

void run_node(benchmark::State& state, const std::shared_ptr<Net>& net, size_t index,
              const BackendOptions& options) {
  auto backend = make_cpu_backend(options);
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

void register_graph(const std::string& prefix, const std::shared_ptr<Net>& net, const BackendOptions& options,
                    const std::function<bool(const Node&)>& wanted = {}) {
  for (size_t i = 0; i < net->graph.nodes.size(); ++i) {
    const Node& node = net->graph.nodes[i];
    if (wanted && !wanted(node)) continue;
    std::string name = prefix + node.origin + "/" + node.op;
    benchmark::RegisterBenchmark(name.c_str(),
                                 [=](benchmark::State& state) { run_node(state, net, i, options); })
        ->Unit(benchmark::kMicrosecond)
        ->UseRealTime();
  }
}

// Products and convolutions of `net` by the library alone: what our own kernels are measured against.
void register_library(const std::string& kind, const std::shared_ptr<Net>& net, int threads) {
  BackendOptions library{.threads = threads, .matrix_units = false, .few_channels = false};
  register_graph("library/" + kind + "/", net, library, [](const Node& node) {
    return node.op.starts_with("linear") || node.op.starts_with("convolution");
  });
}

void register_nodes(int threads, int64_t batch) {
  for (std::string kind : {"lenet", "cnn", "cnn4", "mlp", "gpt", "resnet"}) {
    auto net = std::make_shared<Net>(kind, batch);
    register_graph(kind + "/", net, {.threads = threads});
    register_library(kind, net, threads);
    CompileOptions options;
    options.precision = DType::bfloat16;
    register_graph("bfloat16/" + kind + "/",
                   std::make_shared<Net>(compile_training(training_graph(kind, batch), options).graph),
                   {.threads = threads});
  }
}

// Attention over other lengths and head sizes than the gpt's, forward and backward, with dropout and in 16
// bits, on the matrix units and, where they are called vectors/..., without.
void register_attention(int threads) {
  struct Size {
    int64_t samples, length, channels, heads;
    double rate = 0;
    DType type = DType::float32;
  };
  const Size sizes[] = {
      {16, 128, 128, 4}, {64, 128, 128, 4}, {64, 128, 128, 4, 0.1}, {64, 128, 128, 4, 0.0, DType::bfloat16},
      {16, 256, 256, 4}, {4, 512, 384, 6},  {2, 1024, 512, 4}};
  for (const Size& size : sizes) {
    Graph graph;
    ValueId qkv = graph.add_input("qkv", {size.type, {size.samples, size.length, 3 * size.channels}});
    ValueId dy = graph.add_input("dy", {size.type, {size.samples, size.length, size.channels}});
    GraphWriter writer(
        graph, fmt::format("attention/{}x{}x{}/{}{}", size.samples, size.length, size.channels / size.heads,
                           name_of(size.type), size.rate > 0 ? "/dropout" : ""));
    writer.add("attention", {qkv}, {{"heads", size.heads}, {"rate", size.rate}});
    find_op("attention").gradient(writer, graph.nodes[0], dy);
    auto net = std::make_shared<Net>(std::move(graph));
    register_graph("", net, {.threads = threads});
    register_graph("vectors/", net, {.threads = threads, .matrix_units = false});
  }
}

// Recurrences of 32 samples of 128 steps and 256 hidden units, forward and backward, and the product that
// feeds an LSTM's gates, on matrix units (where there are) and without; a generator's transposed convolution
// and group norm.
Graph recurrence_graph(const std::string& op, int64_t samples, int64_t steps, int64_t hidden, int64_t gates) {
  Graph graph;
  GraphWriter writer(graph, "recurrence/" + op);
  auto input = [&](const char* name, Shape shape) {
    return graph.add_input(name, {DType::float32, std::move(shape)});
  };
  auto both = [&](const std::string& of, std::vector<ValueId> inputs, ValueId gradient,
                  Attributes attributes = {}) {
    writer.add(of, std::move(inputs), std::move(attributes));
    Node node = graph.nodes.back();
    find_op(of).gradient(writer, node, gradient);
  };
  ValueId before = input("before", {samples, steps, gates * hidden}),
          h = input("h", {samples, steps, hidden});
  ValueId weight = input("weight", {hidden, gates * hidden});
  both(op, {before, weight}, h);
  if (gates == 1) return graph;
  both("linear", {h, weight, input("bias", {gates * hidden})}, before);
  ValueId image = input("image", {64, 14, 14, 64}), channel = input("channel", {64});
  both("transposed_convolution", {input("small", {64, 7, 7, 128}), input("kernel", {4, 4, 64, 128}), channel},
       image, {{"stride", int64_t{2}}, {"padding", int64_t{1}}});
  both("group_norm", {image, channel, channel}, image, {{"groups", int64_t{8}}});
  both("leaky_relu", {image}, image);
  return graph;
}

void register_recurrences(int threads) {
  for (auto [op, gates] : {std::pair<std::string, int64_t>{"lstm", 4}, {"rnn", 1}}) {
    auto net = std::make_shared<Net>(recurrence_graph(op, 32, 128, 256, gates));
    register_graph("", net, {.threads = threads});
    register_graph("no_matrix_units/", net, {.threads = threads, .matrix_units = false});
  }
}

// Takes the last argument that starts with `name` off the command line, and returns the number behind it.
int64_t take_number(int& argc, char** argv, std::string_view name, int64_t otherwise) {
  int kept = 0;
  for (int i = 0; i < argc; ++i) {
    if (std::string_view(argv[i]).starts_with(name)) {
      otherwise = std::stoll(argv[i] + name.size());
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  return otherwise;
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) {
  int threads = static_cast<int>(trireme::bench::take_number(argc, argv, "--threads=", 1));
  int64_t batch = trireme::bench::take_number(argc, argv, "--batch=", 64);
  trireme::bench::register_nodes(threads, batch);
  trireme::bench::register_attention(threads);
  trireme::bench::register_recurrences(threads);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
