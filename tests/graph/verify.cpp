// verify() accepts what is well formed and names the node, or the value, at fault of what is not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "graph/small_graph.h"

namespace trireme::test {
namespace {

using testing::HasSubstr;

void expect_refused(const Graph& graph, const std::string& message) {
  try {
    verify(graph);
    ADD_FAILURE() << "accepted; expected: " << message;
  } catch (const GraphError& error) {
    EXPECT_THAT(error.what(), HasSubstr(message));
  }
}

TEST(Verify, AcceptsAWellFormedGraph) { EXPECT_NO_THROW(verify(small_graph().graph)); }

TEST(Verify, UnknownOp) {
  SmallGraph s = small_graph();
  s.graph.nodes[1].op = "rellu";
  expect_refused(s.graph, "act: rellu: there is no op 'rellu'; the nearest is 'relu'");
}

TEST(Verify, InputOutOfRange) {
  SmallGraph s = small_graph();
  s.graph.nodes[1].inputs[0] = 99;
  expect_refused(s.graph, "act: relu: input 0 is value 99, but the graph has 8 values");
  s.graph.nodes[1].inputs[0] = -2;
  expect_refused(s.graph, "act: relu: input 0 is value -2");
}

TEST(Verify, OutputOutOfRange) {
  SmallGraph s = small_graph();
  s.graph.nodes[1].outputs[0] = 99;
  expect_refused(s.graph, "act: relu: output 0 is value 99");
}

TEST(Verify, WrongArity) {
  SmallGraph s = small_graph();
  s.graph.nodes[0].inputs = {s.x};
  expect_refused(s.graph, "fc: linear: takes 2 to 3 inputs, got 1");
  s.graph.nodes[0].inputs = {s.x, no_id, s.b};
  expect_refused(s.graph, "fc: linear: input 1 (w[I, O]) must not be absent");
  s.graph.nodes[0].inputs = {s.x, s.w, s.b, s.b};
  expect_refused(s.graph, "fc: linear: takes 2 to 3 inputs, got 4");
}

TEST(Verify, AnAbsentOptionalInputIsWellFormed) {
  SmallGraph s = small_graph();
  s.graph.nodes[0].inputs = {s.x, s.w, no_id};
  EXPECT_NO_THROW(verify(s.graph));
  s.graph.nodes[0].inputs = {s.x, s.w};
  EXPECT_NO_THROW(verify(s.graph));
}

TEST(Verify, OutputsAreAsManyAsTheShapeRuleGives) {
  SmallGraph s = small_graph();
  s.graph.nodes[2].outputs.pop_back();
  expect_refused(s.graph, "loss: softmax_cross_entropy: has 1 outputs, but its shape rule gives 2");
}

TEST(Verify, ReadBeforeProduced) {
  SmallGraph s = small_graph();
  std::swap(s.graph.nodes[0], s.graph.nodes[1]);
  expect_refused(s.graph, "act: relu: reads 'fc.linear' before it is produced");
}

TEST(Verify, ReadButNeverProduced) {
  SmallGraph s = small_graph();
  s.graph.nodes[1].inputs[0] = s.graph.add_value("orphan", {DType::float32, {4, 2}}, Role::activation);
  expect_refused(s.graph, "act: relu: reads 'orphan' before it is produced");
}

TEST(Verify, ProducedTwice) {
  SmallGraph s = small_graph();
  s.graph.nodes.insert(s.graph.nodes.begin() + 1, s.graph.nodes[0]);
  expect_refused(s.graph, "fc: linear: produces 'fc.linear' again");
}

TEST(Verify, WritesWhatIsNotItsOwn) {
  SmallGraph s = small_graph();
  s.graph.nodes[1].outputs[0] = s.x;
  expect_refused(s.graph, "act: relu: writes input 'x'");
  s.graph.nodes[1].outputs[0] = s.w;
  expect_refused(s.graph, "act: relu: writes parameter 'fc.weight'");
}

TEST(Verify, ProducersAgreeWithNodes) {
  SmallGraph s = small_graph();
  s.graph.value(s.y).producer = 0;
  expect_refused(s.graph, "act: relu: produces 'act.relu', which names node 0 as its producer, not 1");
  s = small_graph();
  ValueId stray = s.graph.add_value("stray", {DType::float32, {1}}, Role::activation);
  s.graph.value(stray).producer = 1;
  expect_refused(s.graph,
                 "act: relu: value 'stray' names this node as its producer, but is none of its outputs");
  s.graph.value(stray).producer = 17;
  expect_refused(s.graph, "value 'stray' names node 17 as its producer, but the graph has 3 nodes");
  s = small_graph();
  s.graph.value(s.w).producer = 0;
  expect_refused(s.graph, "parameter 'fc.weight' must not have a producer");
}

TEST(Verify, MissingAttribute) {
  SmallGraph s = small_graph();
  s.graph.nodes[0].attributes = {};
  expect_refused(s.graph, "fc: linear: attribute 'relu' is missing");
}

TEST(Verify, UnknownAttribute) {
  SmallGraph s = small_graph();
  s.graph.nodes[0].attributes.set("rellu", int64_t{1});
  expect_refused(s.graph, "fc: linear: unknown attribute 'rellu'; the nearest is 'relu'");
  s = small_graph();
  s.graph.nodes[1].attributes.set("slope", 0.1);
  expect_refused(s.graph, "act: relu: unknown attribute 'slope': the op takes none");
}

TEST(Verify, AttributeOfTheWrongType) {
  SmallGraph s = small_graph();
  s.graph.nodes[0].attributes.set("relu", 1.0);
  expect_refused(s.graph, "fc: linear: attribute 'relu' must be an integer");
}

TEST(Verify, TypeOtherThanTheShapeRules) {
  SmallGraph s = small_graph();
  s.graph.value(s.hidden).type.shape = {4, 5};
  expect_refused(s.graph,
                 "fc: linear: output 'fc.linear' is float32[4, 5], but its shape rule gives float32[4, 2]");
  s = small_graph();
  s.graph.value(s.hidden).type.dtype = DType::float64;
  expect_refused(s.graph, "fc: linear: output 'fc.linear' is float64[4, 2]");
}

TEST(Verify, InputTypesThatTheShapeRuleRefuses) {
  SmallGraph s = small_graph();
  s.graph.value(s.w).type.shape = {5, 2};
  expect_refused(s.graph, "fc: linear: input 1 (w[I, O]) must be float32[3, 2], got float32[5, 2]");
}

TEST(Verify, ExtentsArePositive) {
  SmallGraph s = small_graph();
  s.graph.add_parameter("empty", {3, 0}, {});
  expect_refused(s.graph, "value 'empty' has a non-positive extent: float32[3, 0]");
}

TEST(Verify, GradientsBelongToParametersOfTheirType) {
  SmallGraph s = small_graph();
  s.graph.value(s.hidden).role = Role::gradient;
  expect_refused(s.graph, "the owner of gradient 'fc.linear' is value -1");
  s.graph.value(s.hidden).of = s.x;
  expect_refused(s.graph, "gradient 'fc.linear' belongs to input 'x', but must belong to a parameter");
  s.graph.value(s.hidden).of = s.w;
  expect_refused(s.graph,
                 "gradient 'fc.linear' is float32[4, 2], its parameter 'fc.weight' is float32[3, 2]");
  s.graph.value(s.w).type.shape = {4, 2};
  s.graph.value(s.x).type.shape = {4, 4};
  EXPECT_NO_THROW(verify(s.graph));
}

TEST(Verify, StatisticsBelongToStatesOrToNothing) {
  SmallGraph s = small_graph();
  s.graph.value(s.loss).of = s.w;
  expect_refused(s.graph, "belongs to parameter 'fc.weight', but must belong to a state");
  s.graph.value(s.loss).of = s.graph.add_state("running_loss", {1}, {});
  expect_refused(s.graph, "its state 'running_loss' is float32[1]");
}

TEST(Verify, OnlyGradientsAndStatisticsHaveOwners) {
  SmallGraph s = small_graph();
  s.graph.value(s.y).of = s.w;
  expect_refused(s.graph, "activation 'act.relu' belongs to value 2");
}

TEST(Verify, NamesThatArenasLookUpAreUnique) {
  SmallGraph s = small_graph();
  s.graph.add_parameter("fc.weight", {1}, {});
  expect_refused(s.graph, "two values are parameter 'fc.weight'");
}

TEST(Verify, InputsOfTheGraphAreListedOnce) {
  SmallGraph s = small_graph();
  s.graph.inputs = {s.x};
  expect_refused(s.graph, "has 2 values of role input, but lists 1");
  s.graph.inputs = {s.x, s.x, s.labels};
  expect_refused(s.graph, "input 'x' is listed twice");
  s.graph.inputs = {s.x, s.labels, s.w};
  expect_refused(s.graph, "'fc.weight' is listed as input of the graph, but is of role parameter");
  s.graph.inputs = {s.x, 99};
  expect_refused(s.graph, "an input of the graph is value 99");
}

TEST(Verify, ResultsExistAndAreProduced) {
  SmallGraph s = small_graph();
  s.graph.results = {99};
  expect_refused(s.graph, "a result of the graph is value 99");
  s.graph.results = {s.graph.add_value("never", {DType::float32, {1}}, Role::activation)};
  expect_refused(s.graph, "result 'never' is produced by no node");
}

}  // namespace
}  // namespace trireme::test
