// The graph's own values: attributes, builders, printing, the writer, arena look-ups.
#include "graph/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "graph/arena_layout.h"
#include "graph/small_graph.h"

namespace trireme::test {
namespace {

using testing::HasSubstr;

template <class F>
std::string message_of(F&& call) {
  try {
    call();
  } catch (const GraphError& error) {
    return error.what();
  }
  return "no GraphError";
}

TEST(Attributes, AreSortedAndReplaced) {
  Attributes a = {{"stride", int64_t{2}}, {"rate", 0.5}};
  a.set("padding", int64_t{1});
  a.set("stride", int64_t{3});
  ASSERT_EQ(a.entries().size(), 3u);
  EXPECT_EQ(a.entries()[0].first, "padding");
  EXPECT_EQ(a.entries()[1].first, "rate");
  EXPECT_EQ(a.integer("stride"), 3);
  EXPECT_EQ(a.real("rate"), 0.5);
  EXPECT_TRUE(a.has("rate"));
  EXPECT_FALSE(a.has("rat"));
  EXPECT_FALSE(a.has("rates"));
  EXPECT_EQ(a, (Attributes{{"padding", int64_t{1}}, {"rate", 0.5}, {"stride", int64_t{3}}}));
}

TEST(Attributes, SayWhatIsMissingOrOfAnotherType) {
  Attributes a = {{"stride", int64_t{2}}, {"rate", 0.5}};
  EXPECT_THAT(message_of([&] { a.integer("kernel"); }), HasSubstr("attribute 'kernel' is missing"));
  EXPECT_THAT(message_of([&] { a.integer("rate"); }), HasSubstr("attribute 'rate' is not an integer"));
  EXPECT_THAT(message_of([&] { a.real("stride"); }), HasSubstr("attribute 'stride' is not a real number"));
}

TEST(Graph, CountsElementsByRole) {
  SmallGraph s = small_graph();
  EXPECT_EQ(count_elements(s.graph, Role::parameter), 8);
  EXPECT_EQ(count_elements(s.graph, Role::input), 16);
  EXPECT_EQ(count_elements(s.graph, Role::statistic), 1);
  EXPECT_EQ(count_elements(s.graph, Role::gradient), 0);
}

TEST(Graph, BuildersKeepRolesAndInitializers) {
  SmallGraph s = small_graph();
  EXPECT_EQ(s.graph.inputs, (std::vector<ValueId>{s.x, s.labels}));
  EXPECT_EQ(s.graph.value(s.w).role, Role::parameter);
  EXPECT_EQ(s.graph.value(s.w).initializer, (Initializer{Initializer::Kind::uniform, 0.5}));
  EXPECT_EQ(s.graph.value(s.w).producer, no_id);
  EXPECT_THROW(s.graph.value(99), std::out_of_range);
}

TEST(Graph, PrintsOneLineANode) {
  SmallGraph s = small_graph();
  EXPECT_EQ(to_string(s.graph),
            "graph small\n"
            "i:x : float32[4, 3]\n"
            "i:labels : int32[4]\n"
            "w:fc.weight : float32[3, 2]\n"
            "w:fc.bias : float32[2]\n"
            "%4 = linear(i:x, w:fc.weight, w:fc.bias) {relu=0, transposed=0} : float32[4, 2]  # fc\n"
            "%5 = relu(%4) : float32[4, 2]  # act\n"
            "t:loss.softmax_cross_entropy, %7 = softmax_cross_entropy(%5, i:labels) {label_smoothing=0.1} : "
            "float32[], float32[4, 2]  # loss\n"
            "results %5, t:loss.softmax_cross_entropy\n");
}

TEST(Graph, PrintsWhatIsMalformedToo) {
  SmallGraph s = small_graph();
  s.graph.nodes[0].inputs = {s.x, 99, no_id};
  s.graph.nodes[1].outputs = {77};
  std::string text = to_string(s.graph);
  EXPECT_THAT(text, HasSubstr("linear(i:x, ?99, -)"));
  EXPECT_THAT(text, HasSubstr("?77 = relu(%4) : ?  # act"));
}

TEST(GraphWriter, FillsDefaultsAndNamesOutputs) {
  SmallGraph s = small_graph();
  EXPECT_EQ(s.graph.nodes[0].attributes, (Attributes{{"relu", int64_t{0}}, {"transposed", int64_t{0}}}));
  EXPECT_EQ(s.graph.nodes[0].origin, "fc");
  EXPECT_EQ(s.graph.value(s.hidden).name, "fc.linear");
  EXPECT_EQ(s.graph.value(s.hidden).producer, 0);
  EXPECT_EQ(s.graph.value(s.hidden).role, Role::activation);
  EXPECT_EQ(s.graph.value(s.loss).role, Role::statistic);
  EXPECT_EQ(s.graph.value(s.loss).of, no_id);
  EXPECT_EQ(s.graph.value(s.graph.nodes[2].outputs[1]).name, "loss.softmax_cross_entropy.probabilities");
}

TEST(GraphWriter, AStatisticNeedsAStateToMove) {
  Graph graph;
  ValueId x = graph.add_input("x", {DType::float32, {4, 3}});
  ValueId c = graph.add_parameter("c", {3}, {});
  EXPECT_EQ(message_of([&] {
              GraphWriter(graph, "bn").add("batch_norm", {x, c, c, c, c});
            }),
            "bn: batch_norm: input 3 (running_mean[C]) is moved by output batch_mean[C], so it must be a "
            "state, not "
            "parameter 'c'");
}

TEST(GraphWriter, AddOneIsForOpsOfOneOutput) {
  SmallGraph s = small_graph();
  EXPECT_EQ(message_of([&] {
              GraphWriter(s.graph, "again").add_one("softmax_cross_entropy", {s.y, s.labels});
            }),
            "again: softmax_cross_entropy has 2 outputs, not one");
}

TEST(ArenaLayout, FindsTensorsByName) {
  ArenaLayout layout;
  layout.parameters = {{"conv1.weight", {5, 5, 1, 6}, 0}, {"conv1.bias", {6}, 160}};
  layout.states = {{"bn.running_mean", {6}, 0}};
  EXPECT_EQ(layout.parameter_count(), 156u);
  EXPECT_EQ(layout.parameter("conv1.bias").range(), (Range{160, 166}));
  EXPECT_EQ(layout.state("bn.running_mean").size(), 6u);
  EXPECT_EQ(message_of([&] { layout.parameter("conv1.wieght"); }),
            "there is no parameter 'conv1.wieght'; the nearest is 'conv1.weight'");
  EXPECT_EQ(message_of([&] { layout.statistic("loss"); }),
            "there is no statistic 'loss': the model has none");
}

}  // namespace
}  // namespace trireme::test
