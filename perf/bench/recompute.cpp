// What recompute saves and costs: planned peak bytes of activations and seconds of a training step (forward
// and backward), for a deep MLP and a deep GPT under each policy, and the MLP's bytes against its depth.
//   build/release/bin/bench_recompute [THREADS]
// Step times are medians of steps taken in turns, one of each policy, so that drifts of the machine hit all
// alike.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "exec/compile.h"
#include "exec/executor.h"
#include "exec/initialize.h"
#include "graph/op.h"
#include "models/models.h"

namespace trireme::bench {
namespace {

constexpr Recompute policies[] = {Recompute::none, Recompute::layer, Recompute::sqrt};
constexpr const char* policy_names[] = {"none", "layer", "sqrt"};
constexpr int steps = 15;

struct Net {
  std::string name;
  ModelConfig model;
  SampleShape sample;
  int64_t batch;
};

Net mlp(int64_t depth) {
  Net net{fmt::format("mlp, {} layers of 512, dropout 0.1, batch 256", depth), {}, {}, 256};
  net.model.kind = "mlp";
  net.model.hidden.assign(static_cast<size_t>(depth - 1), 512);
  net.model.dropout = 0.1;
  net.sample.kind = SampleKind::table;
  net.sample.features = 512;
  net.sample.classes = 10;
  return net;
}

Net gpt(int64_t depth) {
  Net net{
      fmt::format("gpt, {} blocks of 128 channels, 4 heads, dropout 0.1, batch 16 x 128", depth), {}, {}, 16};
  net.model.kind = "gpt";
  net.model.depth = depth;
  net.model.width = 128;
  net.model.heads = 4;
  net.model.dropout = 0.1;
  net.sample.kind = SampleKind::text;
  net.sample.length = 128;
  net.sample.vocabulary = 80;
  return net;
}

Program compile(const Net& net, Recompute policy) {
  CompileOptions options;
  options.recompute = policy;
  return compile_training(build_model(net.model, net.sample, net.batch, GraphMode::training), options);
}

double flops_of(const Graph& graph) {
  double flops = 0;
  for (const Node& node : graph.nodes) {
    const Op& op = find_op(node.op);
    if (op.flops) flops += op.flops(graph, node);
  }
  return flops;
}

// A bound program with inputs of its own.
struct Stepper {
  Stepper(const Program& program, int threads)
      : backend(make_cpu_backend({.threads = threads})),
        arenas(program.layout),
        workspace(program.plan.bytes) {
    initialize_arenas(program.graph, 1, arenas);
    executor = std::make_unique<Executor>(program, *backend, arenas, workspace);
    for (ValueId id : program.graph.inputs) {
      const TensorType& type = program.graph.value(id).type;
      Buffer& buffer = inputs.emplace_back(type.bytes());
      for (size_t i = 0; i < static_cast<size_t>(type.shape.elements()); ++i) {
        if (type.dtype == DType::int32) {
          buffer.as<int32_t>()[i] = static_cast<int32_t>(i * 7 % 10);
        } else {
          buffer.as<float>()[i] = static_cast<float>(i * 7 % 256) / 256.0f - 0.5f;
        }
      }
      addresses.push_back(buffer.data());
    }
  }

  double seconds(int64_t step) {
    auto start = std::chrono::steady_clock::now();
    backend->parameters_changed();
    executor->step(addresses, {1, step, 0, 1e-2});
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  std::unique_ptr<Backend> backend;
  Arenas arenas;
  Buffer workspace;
  std::unique_ptr<Executor> executor;
  std::vector<Buffer> inputs;
  std::vector<const void*> addresses;
};

double mebibytes(size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

void compare_policies(const Net& net, int threads) {
  fmt::print("\n{}, {} thread(s)\n{:<8}{:>12}{:>8}{:>14}{:>12}{:>8}\n", net.name, threads, "policy",
             "peak MiB", "ratio", "more FLOPs", "step ms", "ratio");
  std::vector<Program> programs;
  std::vector<std::unique_ptr<Stepper>> steppers;
  for (Recompute policy : policies) {
    programs.push_back(compile(net, policy));
    steppers.push_back(std::make_unique<Stepper>(programs.back(), threads));
  }
  std::vector<std::vector<double>> seconds(programs.size());
  for (int step = 0; step < steps + 2; ++step) {
    for (size_t i = 0; i < steppers.size(); ++i) {
      double taken = steppers[i]->seconds(step);
      if (step >= 2) seconds[i].push_back(taken);
    }
  }
  for (size_t i = 0; i < programs.size(); ++i) {
    for (size_t k : {size_t{0}, i}) std::sort(seconds[k].begin(), seconds[k].end());
    double median = seconds[i][steps / 2];
    fmt::print("{:<8}{:>12.2f}{:>8.3f}{:>12.1f} %{:>12.2f}{:>8.3f}\n", policy_names[i],
               mebibytes(programs[i].plan.bytes),
               mebibytes(programs[i].plan.bytes) / mebibytes(programs[0].plan.bytes),
               100 * (flops_of(programs[i].graph) / flops_of(programs[0].graph) - 1), 1e3 * median,
               median / seconds[0][steps / 2]);
  }
}

// The last column divides by the root of the depth: the law says that it does not grow.
void depth_table() {
  fmt::print("\npeak MiB of activations against depth, {}\n{:>6}{:>10}{:>10}{:>10}{:>22}\n",
             "mlp, layers of 512, dropout 0.1, batch 256", "depth", "none", "layer", "sqrt",
             "sqrt / root of depth");
  for (int64_t depth : {4, 9, 16, 25, 36, 49, 64}) {
    double root = mebibytes(compile(mlp(depth), Recompute::sqrt).plan.bytes);
    fmt::print("{:>6}{:>10.2f}{:>10.2f}{:>10.2f}{:>22.3f}\n", depth,
               mebibytes(compile(mlp(depth), Recompute::none).plan.bytes),
               mebibytes(compile(mlp(depth), Recompute::layer).plan.bytes), root,
               root / std::sqrt(static_cast<double>(depth)));
  }
}

}  // namespace
}  // namespace trireme::bench

int main(int count, char** arguments) {
  int threads = count > 1 ? std::atoi(arguments[1]) : 1;
  trireme::bench::depth_table();
  trireme::bench::compare_policies(trireme::bench::mlp(64), threads);
  trireme::bench::compare_policies(trireme::bench::gpt(12), threads);
}
