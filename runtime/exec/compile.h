// From a forward graph to a program: the passes in their order, verified after each.
#pragma once

#include <functional>
#include <string_view>

#include "exec/program.h"
#include "passes/memory_plan.h"
#include "passes/passes.h"

namespace trireme {

struct CompileOptions {
  MemoryReuse reuse = MemoryReuse::on;
  // What activations and the weights that meet them are computed in; parameters, gradients and statistics of
  // the arenas are float32 whatever it says. float16 programs multiply gradients by StepScalars::loss_scale.
  DType precision = DType::float32;
  Recompute recompute = Recompute::none;  // of training programs
  bool rewrite = true;                    // sink and fuse activations; off for comparisons in tests
  // Told the pass's name and the graph after it, for dumps.
  std::function<void(std::string_view, const Graph&)> after_pass;
};

// Forward and backward with the gradient arena laid out in the order in which gradients become ready. The
// layout has one statistic more than the graph: "stop_votes", one element with which ranks agree to stop.
// Programs of one model for different batches share one layout.
Program compile_training(Graph forward, const CompileOptions& options = {});

// Forward only. Parameters and states are found in `layout` by name; statistics become plain results.
Program compile_evaluation(Graph forward, const ArenaLayout& layout, const CompileOptions& options = {});

}  // namespace trireme
