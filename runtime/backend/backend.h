// A backend turns nodes into kernels, once, at bind. Backends: reference (the op table's plain loops, the
// oracle, also in float64), cpu (oneDNN and our own kernels, float32 and the 16-bit types).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "graph/graph.h"
#include "graph/op.h"

namespace trireme {

// A bound node: everything but the step's scalars is fixed. Allocates nothing when called.
using Kernel = std::function<void(const StepScalars&)>;

// Addresses of the graph's values by ValueId. The table outlives the kernels. Entries of inputs change from
// step to step, so kernels read addresses through the table; all others are fixed.
using AddressTable = std::span<void* const>;

struct BackendOptions {
  int threads = 1;
  // Whether float32 products may be made on bfloat16 matrix units, where the processor has them: as exact,
  // other bits.
  bool matrix_units = true;
  // Whether convolutions of few channels are made by our own kernels; false for benches, beside the
  // library's.
  bool few_channels = true;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;
  // Throws GraphError naming the node's origin when the backend has no kernel for it.
  virtual Kernel bind(const Graph& graph, const Node& node, AddressTable addresses) = 0;
  // Called by the executor when parameters have changed outside of its view (after an update, after loading),
  // so that packed weights are refreshed before the next step.
  virtual void parameters_changed() {}
};

std::unique_ptr<Backend> make_reference_backend();
// Belongs to the thread that makes it: sets that thread's number of OpenMP threads and its flushing of
// denormals.
std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options);

}  // namespace trireme
