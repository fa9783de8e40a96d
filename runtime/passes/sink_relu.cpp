#include "passes/passes.h"
#include "passes/uses.h"

namespace trireme {

// For every pair r = relu(x); (y, argmax) = max_pool(r) where nobody else reads r:
//   (p, argmax) = max_pool(x); y = relu(p)
// The nodes keep their places: the relu's place takes the pool, the pool's takes the relu. Where the maximum
// is not positive the recorded position may differ, but there the relu passes no gradient.
void sink_relu(Graph& graph) {
  std::vector<int> uses = count_uses(graph);
  for (Node& relu : graph.nodes) {
    if (relu.op != "relu") continue;
    ValueId middle = relu.outputs[0];
    if (uses[static_cast<size_t>(middle)] != 1) continue;
    for (Node& pool : graph.nodes) {
      if (pool.op != "max_pool" || pool.inputs[0] != middle) continue;
      Node new_pool = pool;
      Node new_relu = relu;
      new_pool.inputs[0] = relu.inputs[0];
      new_pool.outputs[0] = middle;
      new_relu.inputs[0] = middle;
      new_relu.outputs[0] = pool.outputs[0];
      graph.value(middle).type = graph.value(pool.outputs[0]).type;
      relu = new_pool;
      pool = new_relu;
      break;
    }
  }
  renumber_producers(graph);
}

}  // namespace trireme
