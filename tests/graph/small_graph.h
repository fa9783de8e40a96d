// A small well-formed graph: linear with a bias, relu, loss.
#pragma once

#include "graph/op.h"

namespace trireme::test {

struct SmallGraph {
  Graph graph;
  ValueId x, labels, w, b, hidden, y, loss;
};

inline SmallGraph small_graph() {
  SmallGraph s;
  s.graph.name = "small";
  s.x = s.graph.add_input("x", {DType::float32, {4, 3}});
  s.labels = s.graph.add_input("labels", {DType::int32, {4}});
  s.w = s.graph.add_parameter("fc.weight", {3, 2}, {Initializer::Kind::uniform, 0.5});
  s.b = s.graph.add_parameter("fc.bias", {2}, {});
  GraphWriter writer(s.graph, "fc");
  s.hidden = writer.add_one("linear", {s.x, s.w, s.b});
  writer.set_origin("act");
  s.y = writer.add_one("relu", {s.hidden});
  writer.set_origin("loss");
  s.loss = writer.add("softmax_cross_entropy", {s.y, s.labels}, {{"label_smoothing", 0.1}})[0];
  s.graph.results = {s.y, s.loss};
  return s;
}

}  // namespace trireme::test
