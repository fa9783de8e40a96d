#include <vector>

#include "backend/cpu/binder.h"
#include "base/error.h"

namespace trireme::cpu {

// The op table's own loop, for ops that are a small part of any step.
Kernel bind_plain(const Binding& b) {
  struct Call {
    const Graph& graph;
    const Node& node;
    AddressTable addresses;
    ReferenceKernel run;
    std::vector<const void*> inputs;
    std::vector<void*> outputs;
  };
  DType type = kernel_type(b.graph, b.node);
  ReferenceKernel run = reference_kernel(find_op(b.node.op), type);
  if (!run) throw GraphError("{}: op {} has no loop for {}", b.node.origin, b.node.op, name_of(type));
  auto call = std::make_shared<Call>(Call{b.graph, b.node, b.addresses, run, {}, {}});
  call->inputs.resize(b.node.inputs.size());
  call->outputs.resize(b.node.outputs.size());
  return [call](const StepScalars& scalars) {
    for (size_t i = 0; i < call->inputs.size(); ++i) {
      ValueId id = call->node.inputs[i];
      call->inputs[i] = id == no_id ? nullptr : call->addresses[static_cast<size_t>(id)];
    }
    for (size_t i = 0; i < call->outputs.size(); ++i) {
      ValueId id = call->node.outputs[i];
      call->outputs[i] = id == no_id ? nullptr : call->addresses[static_cast<size_t>(id)];
    }
    call->run({call->graph, call->node, call->inputs, call->outputs, scalars});
  };
}

}  // namespace trireme::cpu
