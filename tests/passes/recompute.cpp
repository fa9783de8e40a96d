// recompute: less memory, the same bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>

#include "base/error.h"
#include "exec/compile.h"
#include "graph/op.h"
#include "passes/passes.h"
#include "passes/uses.h"
#include "support/model_fixture.h"

namespace trireme {
namespace {

using namespace test;

constexpr auto policies = {Recompute::layer, Recompute::sqrt};

// Equal layers: what the square root stands for.
ModelConfig chain(int64_t layers, int64_t width) {
  ModelConfig model;
  model.kind = "mlp";
  model.hidden.assign(static_cast<size_t>(layers - 1), width);
  model.dropout = 0.25;
  return model;
}

SampleShape text_sample() {
  SampleShape sample;
  sample.kind = SampleKind::text;
  sample.length = 7;
  sample.vocabulary = 11;
  return sample;
}

struct Case {
  std::string name;
  ModelConfig model;
  SampleShape sample = small_sample;
};

std::vector<Case> cases() {
  ModelConfig gpt;
  gpt.kind = "gpt";
  gpt.depth = 5;
  gpt.width = 12;
  gpt.heads = 2;
  gpt.dropout = 0.2;
  ModelConfig resnet;
  resnet.kind = "resnet";
  resnet.width = 4;
  return {{"mlp", chain(9, 16)},
          {"cnn", preset("cnn")},
          {"every_layer", every_layer_model()},
          {"gpt", gpt, text_sample()},
          {"resnet", resnet}};
}

// The inputs of a step, by the graph's own types.
std::vector<std::vector<std::byte>> inputs_of(const Graph& graph, int64_t classes) {
  std::vector<std::vector<std::byte>> all;
  RandomStream stream(11, Purpose::test);
  for (ValueId id : graph.inputs) {
    const TensorType& type = graph.value(id).type;
    std::vector<std::byte>& bytes = all.emplace_back(type.bytes());
    for (int64_t i = 0; i < type.shape.elements(); ++i) {
      if (type.dtype == DType::int32) {
        reinterpret_cast<int32_t*>(bytes.data())[i] =
            static_cast<int32_t>(stream.below(static_cast<uint32_t>(classes)));
      } else {
        reinterpret_cast<float*>(bytes.data())[i] = stream.normal();
      }
    }
  }
  return all;
}

struct Outcome {
  Program program;
  std::vector<float> gradients;  // with the statistics behind them, of two steps
};

Outcome run(const Case& one, Recompute policy, std::unique_ptr<Backend> backend,
            DType precision = DType::float32) {
  CompileOptions options;
  options.precision = precision;
  options.recompute = policy;
  Outcome result;
  result.program = compile_training(build_model(one.model, one.sample, 6, GraphMode::training), options);
  auto inputs = inputs_of(result.program.graph,
                          one.sample.kind == SampleKind::text ? one.sample.vocabulary : one.sample.classes);
  std::vector<const void*> addresses;
  for (const auto& input : inputs) addresses.push_back(input.data());
  Trainer<float> trainer(result.program, std::move(backend), 5);
  for (int64_t step = 0; step < 2; ++step) {
    trainer.executor.step(addresses, {1, step, 0, 1.0 / 6});
    std::vector<float> gradients = trainer.gradients();
    result.gradients.insert(result.gradients.end(), gradients.begin(), gradients.end());
  }
  return result;
}

size_t clones(const Graph& graph) {
  size_t count = 0;
  for (const Node& node : graph.nodes) count += graph.value(node.outputs[0]).name.ends_with(".again") ? 1 : 0;
  return count;
}

std::vector<std::pair<std::string, size_t>> places(const ArenaLayout& layout) {
  std::vector<std::pair<std::string, size_t>> all;
  for (const auto* tensors : {&layout.parameters, &layout.statistics, &layout.states}) {
    for (const ArenaTensor& tensor : *tensors) all.emplace_back(tensor.name, tensor.offset);
  }
  return all;
}

// Dropout, batch statistics (which lie behind the gradients) and layout included.
TEST(Recompute, GivesTheSameBits) {
  for (const Case& one : cases()) {
    Outcome plain = run(one, Recompute::none, make_cpu_backend({.threads = 1}));
    EXPECT_EQ(clones(plain.program.graph), 0u);
    for (Recompute policy : policies) {
      Outcome again = run(one, policy, make_cpu_backend({.threads = 1}));
      EXPECT_GT(clones(again.program.graph), 0u) << one.name;
      EXPECT_EQ(places(again.program.layout), places(plain.program.layout)) << one.name;
      EXPECT_EQ(again.program.layout.running_means.size(), plain.program.layout.running_means.size());
      EXPECT_TRUE(same_bits(again.gradients, plain.gradients)) << one.name << ' ' << static_cast<int>(policy);
    }
  }
}

TEST(Recompute, GivesTheSameBitsOnTheReferenceBackend) {
  for (const Case& one : cases()) {
    if (one.name == "resnet") continue;  // slow there
    Outcome plain = run(one, Recompute::none, make_reference_backend());
    for (Recompute policy : policies) {
      Outcome again = run(one, policy, make_reference_backend());
      EXPECT_TRUE(same_bits(again.gradients, plain.gradients)) << one.name << ' ' << static_cast<int>(policy);
    }
  }
}

Graph ordered(Graph graph) {
  sink_relu(graph);
  fuse_relu(graph);
  differentiate(graph);
  remove_dead_nodes(graph);
  order_nodes(graph);
  return graph;
}

TEST(Recompute, MakesNothingAgainThatIsNotRead) {
  for (const Case& one : cases()) {
    for (Recompute policy : policies) {
      Graph graph = ordered(build_model(one.model, one.sample, 4, GraphMode::training));
      recompute(graph, policy);
      verify(graph);
      std::vector<int> uses = count_uses(graph);
      for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const Node& node = graph.nodes[i];
        if (!graph.value(node.outputs[0]).name.ends_with(".again")) continue;
        int read = 0;
        for (ValueId output : node.outputs) read += uses[static_cast<size_t>(output)];
        EXPECT_GT(read, 0) << one.name << ": " << node.origin;
      }
    }
  }
}

// Clones come as late as they can: what follows a row of them reads the last, and each is read within its
// row.
TEST(Recompute, MakesValuesRightBeforeTheirFirstReader) {
  for (Recompute policy : policies) {
    Graph graph = ordered(build_model(chain(16, 8), small_sample, 4, GraphMode::training));
    recompute(graph, policy);
    for (size_t i = 0; i + 1 < graph.nodes.size(); ++i) {
      ValueId output = graph.nodes[i].outputs[0];
      if (!graph.value(output).name.ends_with(".again")) continue;
      const std::vector<ValueId>& next = graph.nodes[i + 1].inputs;
      EXPECT_NE(std::find(next.begin(), next.end(), output), next.end()) << graph.value(output).name;
    }
  }
}

// A layer is a linear layer with its relu, then dropout, whose output is the next one's input and kept: of 16
// layers the last computes nothing again, of the others the linear one alone.
TEST(Recompute, OfEachLayerKeepsItsInputs) {
  Graph graph = ordered(build_model(chain(16, 8), small_sample, 4, GraphMode::training));
  recompute(graph, Recompute::layer);
  std::vector<std::string> again;
  for (const Node& node : graph.nodes) {
    if (graph.value(node.outputs[0]).name.ends_with(".again")) again.push_back(node.op);
  }
  EXPECT_EQ(again, std::vector<std::string>(15, "linear"));
}

TEST(Recompute, WritesStatisticsOnce) {
  Graph graph = ordered(build_model(preset("cnn"), small_sample, 4, GraphMode::training));
  ArenaLayout before = lay_out_arenas(graph);
  recompute(graph, Recompute::layer);
  int norms = 0;
  int statistics = 0;
  for (const Node& node : graph.nodes) {
    if (node.op != "batch_norm") continue;
    ++norms;
    for (ValueId output : node.outputs) statistics += graph.value(output).role == Role::statistic ? 1 : 0;
  }
  EXPECT_GT(norms, 2);
  EXPECT_EQ(statistics, 2 * 2);
  EXPECT_EQ(places(lay_out_arenas(graph)), places(before));
}

TEST(Recompute, LeavesAGraphWithoutLayersAsItIs) {
  Graph forward = build_model(chain(5, 8), small_sample, 4, GraphMode::training);
  for (Node& node : forward.nodes) node.layer = -1;
  Graph graph = ordered(forward);
  std::string before = to_string(graph);
  recompute(graph, Recompute::sqrt);
  EXPECT_EQ(to_string(graph), before);
}

size_t peak(const ModelConfig& model, Recompute policy) {
  CompileOptions options;
  options.recompute = policy;
  return compile_training(build_model(model, small_sample, 64, GraphMode::training), options).plan.bytes;
}

// Equal layers that hold two values for the backward pass and hand on one: 2 n, n and sqrt(2 n 2) (see
// passes.h).
TEST(Recompute, MemoryGrowsWithTheSquareRootOfDepth) {
  constexpr int64_t width = 256;
  constexpr double value = 64.0 * width * 4;
  double last = 0;
  for (int64_t root : {4, 6, 8, 12}) {
    int64_t depth = root * root;
    ModelConfig model = chain(depth, width);
    double none = static_cast<double>(peak(model, Recompute::none)) / value;
    double layer = static_cast<double>(peak(model, Recompute::layer)) / value;
    double root_law = static_cast<double>(peak(model, Recompute::sqrt)) / value;
    auto n = static_cast<double>(depth), r = static_cast<double>(root);
    EXPECT_NEAR(none, 2 * n, 5) << depth;
    EXPECT_NEAR(layer, n, 5) << depth;
    EXPECT_LT(root_law, 2 * r + 3) << depth;
    EXPECT_GT(root_law, last) << depth;
    last = root_law;
  }
}

// Where what a block holds is much more than what it hands on, every block is a segment, as it is by layer.
TEST(Recompute, BySquareRootNeverTakesMoreThanByLayer) {
  for (const Case& one : cases()) {
    auto bytes = [&](Recompute policy) {
      CompileOptions options;
      options.recompute = policy;
      return compile_training(build_model(one.model, one.sample, 16, GraphMode::training), options)
          .plan.bytes;
    };
    EXPECT_LE(bytes(Recompute::sqrt), bytes(Recompute::layer)) << one.name;
    EXPECT_LE(bytes(Recompute::layer), bytes(Recompute::none)) << one.name;
  }
}

// Casts of weights and activations are made again too.
TEST(Recompute, GivesTheSameBitsInHalfPrecision) {
  for (const Case& one : cases()) {
    if (one.name == "resnet") continue;  // slow without kernels of 16 bits
    Outcome plain = run(one, Recompute::none, make_cpu_backend({.threads = 1}), DType::bfloat16);
    for (Recompute policy : policies) {
      Outcome again = run(one, policy, make_cpu_backend({.threads = 1}), DType::bfloat16);
      EXPECT_EQ(places(again.program.layout), places(plain.program.layout)) << one.name;
      EXPECT_TRUE(same_bits(again.gradients, plain.gradients)) << one.name << ' ' << static_cast<int>(policy);
    }
  }
}

// A net of thousands of nodes is compiled within seconds.
TEST(Recompute, CompilesDeepNets) {
  CompileOptions options;
  options.recompute = Recompute::sqrt;
  auto start = std::chrono::steady_clock::now();
  Program program =
      compile_training(build_model(chain(1000, 8), small_sample, 2, GraphMode::training), options);
  std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  EXPECT_GT(program.graph.nodes.size(), 5000u);
  EXPECT_LT(taken.count(), 10.0);
}

// The order by its definition, quadratic.
Graph ordered_plainly(Graph graph) {
  std::set<ValueId> there;
  for (size_t v = 0; v < graph.values.size(); ++v) {
    if (graph.values[v].producer == no_id) there.insert(static_cast<ValueId>(v));
  }
  auto is_ready = [&](const Node& node) {
    return std::all_of(node.inputs.begin(), node.inputs.end(),
                       [&](ValueId v) { return v == no_id || there.contains(v); });
  };
  auto finishes = [&](const Node& node) {
    return std::any_of(node.outputs.begin(), node.outputs.end(),
                       [&](ValueId v) { return graph.value(v).role == Role::gradient; });
  };
  std::vector<Node> rest = graph.nodes;
  graph.nodes.clear();
  while (!rest.empty()) {
    auto first = std::find_if(rest.begin(), rest.end(), is_ready);
    auto gradient =
        std::find_if(rest.begin(), rest.end(), [&](const Node& n) { return is_ready(n) && finishes(n); });
    auto chosen = gradient == rest.end() ? first : gradient;
    for (ValueId output : chosen->outputs) there.insert(output);
    graph.nodes.push_back(*chosen);
    rest.erase(chosen);
  }
  renumber_producers(graph);
  return graph;
}

TEST(OrderNodes, FollowsItsDefinition) {
  for (const Case& one : cases()) {
    Graph graph = build_model(one.model, one.sample, 2, GraphMode::training);
    differentiate(graph);
    Graph expected = ordered_plainly(graph);
    order_nodes(graph);
    EXPECT_EQ(to_string(graph), to_string(expected)) << one.name;
  }
}

TEST(OrderNodes, TellsOfACycle) {
  Graph graph = build_model(chain(3, 8), small_sample, 2, GraphMode::training);
  graph.nodes[0].inputs[0] = graph.nodes[1].outputs[0];
  EXPECT_THROW(order_nodes(graph), GraphError);
}

}  // namespace
}  // namespace trireme
