// lower_precision: what becomes 16 bits, what stays wide, how often a value is cast.
#include <gtest/gtest.h>

#include "base/error.h"
#include "exec/compile.h"
#include "graph/op.h"
#include "passes/passes.h"

namespace trireme {
namespace {

struct Net {
  Graph graph;
  GraphWriter writer{graph, "test"};
  ValueId images = graph.add_input("images", {DType::float32, {4, 6, 6, 1}});
  ValueId labels = graph.add_input("labels", {DType::int32, {4}});
  ValueId weight = graph.add_parameter("weight", {3, 3, 1, 5}, {});
  ValueId gamma = graph.add_parameter("gamma", {5}, {});
  ValueId beta = graph.add_parameter("beta", {5}, {});
  ValueId mean = graph.add_state("mean", {5}, {});
  ValueId variance = graph.add_state("variance", {5}, {});
  ValueId head = graph.add_parameter("head", {5, 3}, {});
  ValueId bias = graph.add_parameter("bias", {3}, {});
  ValueId convolution = writer.add_one("convolution", {images, weight, no_id});
  ValueId norm = writer.add("batch_norm", {convolution, gamma, beta, mean, variance})[0];
  ValueId logits = writer.add_one("linear", {writer.add_one("global_average_pool", {norm}), head, bias});
  Net() { graph.results = {writer.add("softmax_cross_entropy", {logits, labels})[0], logits}; }
  DType type(ValueId id) const { return graph.value(id).type.dtype; }
};

size_t count(const Graph& graph, std::string_view op) {
  return static_cast<size_t>(
      std::count_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.op == op; }));
}

TEST(LowerPrecision, LowAndFollowingOpsComputeIn16BitsLossesDoNot) {
  Net net;
  std::string name = net.graph.value(net.logits).name;
  lower_precision(net.graph, DType::bfloat16);
  verify(net.graph);
  EXPECT_EQ(net.type(net.convolution), DType::bfloat16);
  EXPECT_EQ(net.type(net.norm), DType::bfloat16);
  EXPECT_EQ(net.type(net.logits), DType::bfloat16);
  for (ValueId result : net.graph.results) EXPECT_EQ(net.type(result), DType::float32);
  EXPECT_EQ(net.graph.value(net.graph.results[1]).name, name);
  for (const Value& value : net.graph.values) {
    if (value.role != Role::activation && value.role != Role::input) {
      EXPECT_EQ(value.type.dtype, DType::float32) << value.name;
    }
  }
  // images, weight, head; the logits once for both the loss and the result.
  EXPECT_EQ(count(net.graph, "cast"), 4u);
}

TEST(LowerPrecision, Float32ChangesNothing) {
  Net net, same;
  lower_precision(net.graph, DType::float32);
  EXPECT_EQ(to_string(net.graph), to_string(same.graph));
  EXPECT_EQ(count(compile_training(same.graph).graph, "cast"), 0u);
  EXPECT_THROW(lower_precision(net.graph, DType::float64), GraphError);
}

TEST(LowerPrecision, AFollowingOpTakesTheWidestOfWhatArrives) {
  Net net;
  ValueId x = net.graph.add_input("x", {DType::float32, {4, 3}});
  ValueId sum = net.writer.add_one("add", {net.logits, x});
  ValueId twice = net.writer.add_one("add", {net.logits, net.logits});
  lower_precision(net.graph, DType::bfloat16);
  verify(net.graph);
  EXPECT_EQ(net.type(sum), DType::float32);
  EXPECT_EQ(net.type(twice), DType::bfloat16);
}

TEST(LowerPrecision, AValueReadTwiceIsCastOnce) {
  Net net;
  ValueId other = net.graph.add_input("other", {DType::float32, {2, 5}});
  net.writer.add_one("linear", {other, net.head, no_id});
  lower_precision(net.graph, DType::bfloat16);
  verify(net.graph);
  EXPECT_EQ(count(net.graph, "cast"), 5u);  // one more: `other`
}

TEST(LowerPrecision, GradientsOfParametersAreWideAndCastNowhere) {
  for (DType low : {DType::bfloat16, DType::float16}) {
    CompileOptions options;
    options.precision = low;
    Program program = compile_training(Net().graph, options);
    size_t gradients = 0, narrow_activations = 0;
    for (const Value& value : program.graph.values) {
      if (value.role == Role::gradient) {
        EXPECT_EQ(value.type.dtype, DType::float32) << value.name;
        EXPECT_NE(program.graph.nodes[static_cast<size_t>(value.producer)].op, "cast") << value.name;
        ++gradients;
      }
      narrow_activations += value.role == Role::activation && value.type.dtype == low;
    }
    EXPECT_EQ(gradients, 5u);
    EXPECT_GT(narrow_activations, 5u);
    // The four of the forward graph and the loss's gradient on its way back.
    EXPECT_EQ(count(program.graph, "cast"), 5u);
    EXPECT_EQ(count(program.graph, "scale_gradient_backward"), low == DType::float16 ? 1u : 0u);
  }
}

TEST(LowerPrecision, HalvesWhatActivationsTake) {
  Graph graph;
  GraphWriter writer(graph, "test");
  ValueId h = graph.add_input("x", {DType::float32, {256, 64}});
  ValueId labels = graph.add_input("labels", {DType::int32, {256}});
  for (int i = 0; i < 8; ++i) {
    ValueId w = graph.add_parameter("w" + std::to_string(i), {64, 64}, {});
    h = writer.add_one("tanh", {writer.add_one("linear", {h, w, no_id})});
  }
  graph.results = {writer.add("softmax_cross_entropy", {h, labels})[0]};
  CompileOptions options;
  size_t wide_bytes = compile_training(graph, options).plan.bytes;
  options.precision = DType::bfloat16;
  size_t narrow_bytes = compile_training(graph, options).plan.bytes;
  EXPECT_LT(narrow_bytes, wide_bytes * 3 / 4);
}

}  // namespace
}  // namespace trireme
