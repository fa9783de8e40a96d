// A program: a graph whose order is fixed and whose memory is planned, ready to be bound.
#pragma once

#include "graph/arena_layout.h"
#include "graph/graph.h"
#include "passes/memory_plan.h"

namespace trireme {

struct Program {
  Graph graph;
  ArenaLayout
      layout;  // of the training program; an evaluation program shares it and finds its tensors by name
  MemoryPlan plan;
};

}  // namespace trireme
