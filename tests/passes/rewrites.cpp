// sink_relu, fuse_relu, fuse_norm_pool, remove_dead_nodes, order_nodes.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "graph/op.h"
#include "passes/passes.h"

namespace trireme {
namespace {

std::vector<std::string> ops_of(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.push_back(node.op);
  return names;
}

struct Net {
  Graph graph;
  GraphWriter writer{graph, "test"};
  ValueId x = graph.add_input("x", {DType::float32, {2, 8, 8, 3}});
  ValueId w = graph.add_parameter("w", {3, 3, 3, 4}, {});
  ValueId convolution() { return writer.add_one("convolution", {x, w, no_id}, {{"padding", int64_t{1}}}); }
};

TEST(SinkRelu, SwapsReluAndMaxPool) {
  Net net;
  ValueId y = net.writer.add("max_pool", {net.writer.add_one("relu", {net.convolution()})})[0];
  net.graph.results = {y};
  sink_relu(net.graph);
  verify(net.graph);
  EXPECT_EQ(ops_of(net.graph), (std::vector<std::string>{"convolution", "max_pool", "relu"}));
  EXPECT_EQ(net.graph.nodes[2].outputs[0], y);
}

TEST(SinkRelu, LeavesAReluThatOthersRead) {
  Net net;
  ValueId r = net.writer.add_one("relu", {net.convolution()});
  ValueId y = net.writer.add("max_pool", {r})[0];
  net.graph.results = {y, r};
  sink_relu(net.graph);
  EXPECT_EQ(ops_of(net.graph), (std::vector<std::string>{"convolution", "relu", "max_pool"}));
}

TEST(FuseRelu, IntoTheOpBefore) {
  Net net;
  ValueId c = net.convolution();
  net.graph.results = {net.writer.add_one("relu", {c})};
  fuse_relu(net.graph);
  verify(net.graph);
  EXPECT_EQ(ops_of(net.graph), (std::vector<std::string>{"convolution"}));
  EXPECT_EQ(net.graph.nodes[0].attributes.integer("relu"), 1);
  EXPECT_EQ(net.graph.results[0], c);
}

TEST(FuseRelu, NotWhereTheOpBeforeIsReadTwice) {
  Net net;
  ValueId c = net.convolution();
  ValueId r = net.writer.add_one("relu", {c});
  net.graph.results = {net.writer.add_one("add", {c, r})};
  fuse_relu(net.graph);
  EXPECT_EQ(ops_of(net.graph), (std::vector<std::string>{"convolution", "relu", "add"}));
}

TEST(FuseRelu, NotIntoAnOpThatCannot) {
  Net net;
  ValueId t = net.writer.add_one("tanh", {net.x});
  net.graph.results = {net.writer.add_one("relu", {t})};
  fuse_relu(net.graph);
  EXPECT_EQ(ops_of(net.graph), (std::vector<std::string>{"tanh", "relu"}));
}

TEST(FuseRelu, ReluOfReluIsRemovedOnce) {
  Net net;
  ValueId c = net.convolution();
  net.graph.results = {net.writer.add_one("relu", {net.writer.add_one("relu", {c})})};
  fuse_relu(net.graph);
  verify(net.graph);
  EXPECT_EQ(ops_of(net.graph), (std::vector<std::string>{"convolution", "relu"}));
}

// conv, batch norm, relu, pooling of `kernel` at steps of 2, as the passes find them.
Net norm_and_pool(int64_t kernel, bool reads_norm) {
  Net net;
  ValueId c = net.convolution();
  ValueId gamma = net.graph.add_parameter("gamma", {4}, {}), beta = net.graph.add_parameter("beta", {4}, {});
  ValueId n = net.writer.add("batch_norm", {c, gamma, beta}, {{"epsilon", 1e-3}})[0];
  ValueId r = net.writer.add_one("relu", {n});
  net.graph.results = {net.writer.add("max_pool", {r}, {{"kernel", kernel}})[0]};
  if (reads_norm) net.graph.results.push_back(n);
  sink_relu(net.graph);
  return net;
}

TEST(FuseNormPool, OneOpForThree) {
  Net net = norm_and_pool(2, false);
  ValueId y = net.graph.results[0];
  fuse_norm_pool(net.graph);
  verify(net.graph);
  EXPECT_EQ(ops_of(net.graph), (std::vector<std::string>{"convolution", "batch_norm_max_pool"}));
  EXPECT_EQ(net.graph.nodes[1].outputs[0], y);
  EXPECT_EQ(net.graph.nodes[1].attributes.real("epsilon"), 1e-3);
}

TEST(FuseNormPool, NotWhereTheNormIsReadTwiceOrWindowsOverlap) {
  for (bool overlap : {false, true}) {
    Net net = norm_and_pool(overlap ? 3 : 2, !overlap);
    std::vector<std::string> before = ops_of(net.graph);
    fuse_norm_pool(net.graph);
    verify(net.graph);
    EXPECT_EQ(ops_of(net.graph), before);
  }
}

TEST(RemoveDeadNodes, KeepsWhatResultsNeed) {
  Net net;
  ValueId kept = net.writer.add_one("tanh", {net.x});
  net.writer.add_one("sigmoid", {net.writer.add_one("tanh", {net.x})});
  net.graph.results = {kept};
  remove_dead_nodes(net.graph);
  verify(net.graph);
  EXPECT_EQ(ops_of(net.graph), (std::vector<std::string>{"tanh"}));
}

TEST(OrderNodes, RestoresDependencyOrder) {
  Net net;
  net.graph.results = {net.writer.add_one("sigmoid", {net.writer.add_one("tanh", {net.x})})};
  std::swap(net.graph.nodes[0], net.graph.nodes[1]);
  order_nodes(net.graph);
  verify(net.graph);
  EXPECT_EQ(ops_of(net.graph), (std::vector<std::string>{"tanh", "sigmoid"}));
}

TEST(RunPasses, NamesThePassThatBreaksTheGraph) {
  Net net;
  net.graph.results = {net.writer.add_one("sigmoid", {net.writer.add_one("tanh", {net.x})})};
  try {
    run_passes(net.graph, {{"harmless", [](Graph&) {}},
                           {"breaker", [](Graph& g) { std::swap(g.nodes[0], g.nodes[1]); }}});
    FAIL() << "not noticed";
  } catch (const GraphError& error) {
    EXPECT_NE(std::string(error.what()).find("pass breaker"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace trireme
