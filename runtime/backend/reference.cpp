// The oracle: every node runs the plain loops of its row in the op table, in the type of its first
// floating-point input.
#include <memory>

#include "backend/backend.h"
#include "base/error.h"

namespace trireme {
namespace {

// A node with the few values it speaks of in a graph of its own, so that a kernel outlives the graph it was
// bound from, and the places of its values in the address table.
struct BoundNode {
  Graph graph;
  Node node;
  ReferenceKernel kernel = nullptr;
  AddressTable addresses;
  std::vector<ValueId> input_ids, output_ids;  // in the table
  std::vector<const void*> inputs;
  std::vector<void*> outputs;

  void run(const StepScalars& scalars) {
    for (size_t i = 0; i < inputs.size(); ++i) inputs[i] = at(input_ids[i]);
    for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = at(output_ids[i]);
    kernel(KernelCall{graph, node, inputs, outputs, scalars});
  }

  void* at(ValueId id) const { return id == no_id ? nullptr : addresses[static_cast<size_t>(id)]; }
};

ValueId copy_value(const Graph& from, ValueId id, Graph& to) {
  if (id == no_id) return no_id;
  const Value& value = from.value(id);
  return to.add_value(value.name, value.type, value.role);
}

class ReferenceBackend final : public Backend {
 public:
  std::string name() const override { return "reference"; }

  Kernel bind(const Graph& graph, const Node& node, AddressTable addresses) override {
    const Op& op = find_op(node.op);
    auto bound = std::make_shared<BoundNode>();
    DType type = kernel_type(graph, node);
    bound->kernel = reference_kernel(op, type);
    if (!bound->kernel) {
      throw GraphError("{}: {}: the reference backend has no kernel for {}", node.origin, node.op,
                       name_of(type));
    }
    bound->node = node;
    bound->addresses = addresses;
    bound->input_ids = node.inputs;
    bound->output_ids = node.outputs;
    bound->inputs.resize(node.inputs.size());
    bound->outputs.resize(node.outputs.size());
    for (ValueId& id : bound->node.inputs) id = copy_value(graph, id, bound->graph);
    for (ValueId& id : bound->node.outputs) id = copy_value(graph, id, bound->graph);
    return [bound](const StepScalars& scalars) { bound->run(scalars); };
  }
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace trireme
