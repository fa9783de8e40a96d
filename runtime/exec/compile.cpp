#include "exec/compile.h"

#include <utility>
#include <vector>

#include "passes/passes.h"

namespace trireme {
namespace {

std::vector<Pass> forward_passes(const CompileOptions& options) {
  std::vector<Pass> passes;
  if (options.rewrite) {
    passes = {{"sink_relu", sink_relu}, {"fuse_relu", fuse_relu}, {"fuse_norm_pool", fuse_norm_pool}};
  }
  if (options.precision != DType::float32) {
    DType low = options.precision;
    passes.push_back({"lower_precision", [low](Graph& graph) { lower_precision(graph, low); }});
  }
  return passes;
}

// Without a backward pass nothing sums statistics over ranks: they are results like any other.
void statistics_to_results(Graph& graph) {
  for (Value& value : graph.values) {
    if (value.role != Role::statistic) continue;
    value.role = Role::activation;
    value.of = no_id;
  }
}

}  // namespace

Program compile_training(Graph forward, const CompileOptions& options) {
  std::vector<Pass> passes = forward_passes(options);
  if (options.precision == DType::float16) passes.push_back({"scale_loss_gradients", scale_loss_gradients});
  passes.push_back({"differentiate", differentiate});
  passes.push_back({"remove_dead_nodes", remove_dead_nodes});
  passes.push_back({"order_nodes", order_nodes});
  if (options.recompute != Recompute::none) {  // behind the order, which it keeps
    passes.push_back({"recompute", [&](Graph& graph) { recompute(graph, options.recompute); }});
    passes.push_back({"remove_dead_nodes", remove_dead_nodes});
  }
  Program program;
  program.graph = std::move(forward);
  run_passes(program.graph, passes, options.after_pass);
  program.layout = lay_out_arenas(program.graph);
  program.plan = plan_memory(program.graph, options.reuse);
  return program;
}

Program compile_evaluation(Graph forward, const ArenaLayout& layout, const CompileOptions& options) {
  std::vector<Pass> passes = forward_passes(options);
  passes.push_back({"remove_dead_nodes", remove_dead_nodes});
  passes.push_back({"order_nodes", order_nodes});
  Program program;
  program.graph = std::move(forward);
  run_passes(program.graph, passes, options.after_pass);
  statistics_to_results(program.graph);
  program.layout = layout;
  program.plan = plan_memory(program.graph, options.reuse);
  return program;
}

}  // namespace trireme
