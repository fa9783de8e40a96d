// differentiate: every parameter gets its gradient, values read twice add up, faults are named.
#include <gtest/gtest.h>

#include "base/error.h"
#include "graph/op.h"
#include "models/models.h"
#include "passes/passes.h"

namespace trireme {
namespace {

struct Net {
  Graph graph;
  GraphWriter writer{graph, "test"};
  ValueId x = graph.add_input("x", {DType::float32, {4, 6}});
  ValueId labels = graph.add_input("labels", {DType::int32, {4}});
  ValueId parameter(std::string name, Shape shape) {
    return graph.add_parameter(std::move(name), std::move(shape), {});
  }
  void loss(ValueId logits) { graph.results = {writer.add("softmax_cross_entropy", {logits, labels})[0]}; }
};

std::string message_of(void (*pass)(Graph&), Graph graph) {
  try {
    pass(graph);
  } catch (const GraphError& error) {
    return error.what();
  }
  return "";
}

size_t count(const Graph& graph, std::string_view op) {
  size_t n = 0;
  for (const Node& node : graph.nodes) n += node.op == op ? 1 : 0;
  return n;
}

TEST(Differentiate, GivesEveryParameterItsGradient) {
  Net net;
  ValueId h = net.writer.add_one("linear", {net.x, net.parameter("w1", {6, 5}), net.parameter("b1", {5})});
  net.loss(
      net.writer.add_one("linear", {net.writer.add_one("tanh", {h}), net.parameter("w2", {5, 3}), no_id}));
  differentiate(net.graph);
  verify(net.graph);
  EXPECT_EQ(count_elements(net.graph, Role::gradient), count_elements(net.graph, Role::parameter));
}

TEST(Differentiate, DoesNotWalkToInputs) {
  Net net;
  net.loss(net.writer.add_one("linear", {net.x, net.parameter("w", {6, 3}), no_id}));
  differentiate(net.graph);
  remove_dead_nodes(net.graph);
  EXPECT_EQ(count(net.graph, "linear_backward_data"), 0u);
}

TEST(Differentiate, AddsWhatSeveralReadersSend) {
  Net net;
  ValueId h = net.writer.add_one("linear", {net.x, net.parameter("w", {6, 3}), no_id});
  net.loss(net.writer.add_one("add", {net.writer.add_one("tanh", {h}), net.writer.add_one("sigmoid", {h})}));
  differentiate(net.graph);
  verify(net.graph);
  EXPECT_EQ(count(net.graph, "add"), 2u);
}

TEST(Differentiate, NamesAParameterWithoutInfluence) {
  Net net;
  net.parameter("lonely", {2, 2});
  net.loss(net.writer.add_one("linear", {net.x, net.parameter("w", {6, 3}), no_id}));
  EXPECT_NE(message_of(differentiate, net.graph).find("lonely"), std::string::npos);
}

TEST(Differentiate, RefusesAGraphWithoutLoss) {
  Net net;
  net.writer.add_one("linear", {net.x, net.parameter("w", {6, 3}), no_id});
  EXPECT_NE(message_of(differentiate, net.graph).find("no loss"), std::string::npos);
}

TEST(Differentiate, SumsWhatSeveralLossesSend) {
  Net net;
  ValueId w = net.parameter("w", {6, 1});
  ValueId real = net.writer.add_one("linear", {net.x, w, no_id});
  ValueId fake =
      net.writer.add_one("linear", {net.graph.add_input("fakes", {DType::float32, {4, 6}}), w, no_id});
  net.writer.set_origin("loss_real");
  ValueId first = net.writer.add_one("binary_cross_entropy", {real});
  net.writer.set_origin("loss_fake");
  ValueId second = net.writer.add_one("binary_cross_entropy", {fake}, {{"target", 0.0}});
  net.graph.results = {first, second};
  differentiate(net.graph);
  remove_dead_nodes(net.graph);
  order_nodes(net.graph);
  verify(net.graph);
  EXPECT_EQ(count(net.graph, "add"), 1u);
  EXPECT_EQ(count(net.graph, "binary_cross_entropy_backward"), 2u);
  ArenaLayout layout = lay_out_arenas(net.graph);
  EXPECT_NE(layout.statistic("loss_real.binary_cross_entropy").offset,
            layout.statistic("loss_fake.binary_cross_entropy").offset);
}

TEST(Differentiate, PassesThroughWhatReadsFrozenValuesAndGivesThemNothing) {
  Net net;
  ValueId mine = net.writer.add_one("linear", {net.x, net.parameter("mine", {6, 5}), no_id});
  ValueId w = net.graph.add_value("theirs", {DType::float32, {5, 3}}, Role::frozen);
  ValueId b = net.graph.add_value("their_bias", {DType::float32, {3}}, Role::frozen);
  net.loss(net.writer.add_one("linear", {mine, w, b}));
  differentiate(net.graph);
  remove_dead_nodes(net.graph);
  order_nodes(net.graph);
  verify(net.graph);
  EXPECT_EQ(count_elements(net.graph, Role::gradient), 30);
  EXPECT_EQ(count(net.graph, "linear_backward_data"), 1u);
  EXPECT_EQ(count(net.graph, "linear_backward_weights"), 1u);
  EXPECT_EQ(lay_out_arenas(net.graph).parameter_count(), 30u);
}

TEST(Differentiate, LeavesOutALossThatNoParameterInfluences) {
  Net net;
  ValueId w = net.graph.add_value("theirs", {DType::float32, {6, 3}}, Role::frozen);
  net.loss(net.writer.add_one("linear", {net.x, w, no_id}));
  net.writer.set_origin("second");
  net.loss(net.writer.add_one("linear", {net.x, net.parameter("w", {6, 3}), no_id}));
  differentiate(net.graph);
  EXPECT_EQ(count(net.graph, "softmax_cross_entropy_backward"), 1u);
}

TEST(OrderNodes, LaysArenasOutInTheOrderOfReadiness) {
  Graph graph = build_model(ModelConfig{}, {4, 4, 1, 3}, 2, GraphMode::training);
  differentiate(graph);
  remove_dead_nodes(graph);
  order_nodes(graph);
  verify(graph);
  ArenaLayout layout = lay_out_arenas(graph);
  // The last layer's gradients are ready first; no data gradient is computed before the weights' of its
  // layer.
  EXPECT_EQ(layout.parameters.front().name, "linear2.weight");
  EXPECT_EQ(layout.parameters.back().name, "linear1.bias");
  size_t end = 0;
  for (const ArenaTensor& tensor : layout.parameters) {
    EXPECT_GE(tensor.offset, end);
    EXPECT_EQ(tensor.offset % arena_alignment, 0u);
    end = tensor.range().end;
  }
  EXPECT_GE(layout.statistic("loss").offset, layout.parameter_elements);
  EXPECT_GE(layout.statistic("stop_votes").offset, layout.parameter_elements);
  EXPECT_EQ(layout.parameter_count(), static_cast<size_t>(count_elements(graph, Role::parameter)));
}

}  // namespace
}  // namespace trireme
