#include "base/error.h"
#include "passes/passes.h"

namespace trireme {

void run_passes(Graph& graph, const std::vector<Pass>& passes,
                const std::function<void(std::string_view, const Graph&)>& after_pass) {
  for (const Pass& pass : passes) {
    try {
      pass.run(graph);
      verify(graph);
    } catch (const GraphError& error) {
      throw GraphError("pass {}: {}", pass.name, error.what());
    }
    if (after_pass) after_pass(pass.name, graph);
  }
}

}  // namespace trireme
