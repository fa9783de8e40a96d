// plan_memory: values alive at the same time never overlap unless one is made from the other in place.
#include "passes/memory_plan.h"

#include <gtest/gtest.h>

#include "exec/compile.h"
#include "support/model_fixture.h"

namespace trireme {
namespace {

using namespace test;

struct Life {
  size_t first, last;
};

// From the node that writes a value to the last that reads it.
Life life_of(const Graph& graph, ValueId id) {
  Life life{static_cast<size_t>(graph.value(id).producer), static_cast<size_t>(graph.value(id).producer)};
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (ValueId input : graph.nodes[i].inputs) {
      if (input == id) life.last = i;
    }
  }
  for (ValueId result : graph.results) {
    if (result == id) life.last = graph.nodes.size();
  }
  return life;
}

bool is_made_in_place(const Graph& graph, ValueId output, ValueId input) {
  const Node& node = graph.nodes[static_cast<size_t>(graph.value(output).producer)];
  const Op& op = find_op(node.op);
  if (op.is_view) return true;
  return op.in_place_input >= 0 && node.inputs[static_cast<size_t>(op.in_place_input)] == input &&
         life_of(graph, input).last == static_cast<size_t>(graph.value(output).producer);
}

void expect_sound(const Graph& graph, const MemoryPlan& plan) {
  for (size_t a = 0; a < graph.values.size(); ++a) {
    if (plan.offsets[a] == MemoryPlan::npos) continue;
    size_t a_bytes = graph.values[a].type.bytes();
    EXPECT_LE(plan.offsets[a] + a_bytes, plan.bytes);
    EXPECT_EQ(plan.offsets[a] % 64, 0u);
    for (size_t b = a + 1; b < graph.values.size(); ++b) {
      if (plan.offsets[b] == MemoryPlan::npos) continue;
      Life x = life_of(graph, static_cast<ValueId>(a));
      Life y = life_of(graph, static_cast<ValueId>(b));
      bool together = x.first <= y.last && y.first <= x.last;
      bool overlap = plan.offsets[a] < plan.offsets[b] + graph.values[b].type.bytes() &&
                     plan.offsets[b] < plan.offsets[a] + a_bytes;
      if (!together || !overlap) continue;
      bool allowed = is_made_in_place(graph, static_cast<ValueId>(b), static_cast<ValueId>(a)) ||
                     is_made_in_place(graph, static_cast<ValueId>(a), static_cast<ValueId>(b)) ||
                     plan.offsets[a] == plan.offsets[b];  // a chain of views and in-place results
      EXPECT_TRUE(allowed) << graph.values[a].name << " and " << graph.values[b].name;
    }
  }
}

TEST(PlanMemory, IsSoundForEveryModel) {
  for (const ModelConfig& model : {every_layer_model(), preset("mlp"), preset("cnn")}) {
    Program program = compile_training(build_model(model, small_sample, 4, GraphMode::training));
    expect_sound(program.graph, program.plan);
    EXPECT_LT(program.plan.bytes, program.plan.unplanned_bytes);
  }
}

TEST(PlanMemory, AChainReusesTwoBlocks) {
  Graph graph;
  GraphWriter writer(graph, "chain");
  ValueId x = graph.add_input("x", {DType::float32, {16, 16, 16, 1}});
  ValueId w = graph.add_parameter("w", {1, 1, 1, 1}, {});
  for (int i = 0; i < 10; ++i) x = writer.add_one("convolution", {x, w, no_id});
  graph.results = {x};
  MemoryPlan plan = plan_memory(graph);
  EXPECT_EQ(plan.bytes, 2u * 16 * 16 * 16 * 4);
  EXPECT_EQ(plan_memory(graph, MemoryReuse::off).bytes, 10u * 16 * 16 * 16 * 4);
}

TEST(PlanMemory, InPlaceOnlyWhenTheInputDies) {
  Graph graph;
  GraphWriter writer(graph, "in place");
  ValueId x = graph.add_input("x", {DType::float32, {64}});
  ValueId a = writer.add_one("tanh", {x});     // from an input: never in place
  ValueId b = writer.add_one("sigmoid", {a});  // a is read again below: not in place
  ValueId c = writer.add_one("add", {b, a});   // b dies: in place
  graph.results = {c};
  MemoryPlan plan = plan_memory(graph);
  auto offset = [&](ValueId id) { return plan.offsets[static_cast<size_t>(id)]; };
  EXPECT_NE(offset(a), offset(b));
  EXPECT_EQ(offset(b), offset(c));
}

}  // namespace
}  // namespace trireme
