// Memory planning: offsets in one workspace for every activation, reusing memory of values that are dead.
#pragma once

#include <cstddef>
#include <vector>

#include "graph/graph.h"

namespace trireme {

struct MemoryPlan {
  std::vector<size_t> offsets;  // bytes, by ValueId; npos for values that do not lie in the workspace
  size_t bytes = 0;             // extent of the workspace
  size_t unplanned_bytes = 0;   // the sum over activations, for comparison
  static constexpr size_t npos = static_cast<size_t>(-1);
};

enum class MemoryReuse { on, off };

// Greedy by size (Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020): the
// largest value first, each at the lowest offset that overlaps no placed value alive at the same time. The
// graph's results stay alive to the end. With MemoryReuse::off every value has memory of its own (for tests).
MemoryPlan plan_memory(const Graph& graph, MemoryReuse reuse = MemoryReuse::on);

}  // namespace trireme
