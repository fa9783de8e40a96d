// Another range of values, say pixels from [0, 1] to [-1, 1].
#include "ops/ops.h"
#include "ops/references.h"
#include "ops/rules.h"

namespace trireme {
namespace {

template <class T>
void affine_reference(const KernelCall& call) {
  double factor = call.node.attributes.real("factor"), shift = call.node.attributes.real("shift");
  const T* x = call.input<T>(0);
  T* y = call.output<T>(0);
  for (int64_t i = 0; i < call.output_shape(0).elements(); ++i) {
    y[i] = narrow<T>(factor * static_cast<double>(static_cast<Wide<T>>(x[i])) + shift);
  }
}

}  // namespace

// Its gradient is itself without the shift.
Op affine_op() {
  Op op;
  op.name = "affine";
  op.doc = "y = factor x + shift";
  op.inputs = {"x[...]"};
  op.outputs = {"y[...]"};
  op.attributes = {{"factor", 1.0, "what every element is multiplied by"},
                   {"shift", 0.0, "what is added then"}};
  op.shape = [](InputTypes inputs, const Attributes&) {
    return std::vector<TensorType>{activation_input(inputs, 0, "x[...]", any_rank)};
  };
  op.flops = [](const Graph& graph, const Node& node) { return 2 * output_elements(graph, node); };
  op.gradient = [](GraphWriter& writer, Node node, ValueId dy) {
    return std::vector<ValueId>{
        writer.add_one("affine", {dy}, {{"factor", node.attributes.real("factor")}, {"shift", 0.0}})};
  };
  set_references(op, []<class T>(const KernelCall& call) { affine_reference<T>(call); });
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.in_place_input = 0;
  op.samples = {{.inputs = {{3, 7}}, .attributes = {{"factor", 2.0}, {"shift", -1.0}}},
                {.inputs = {{2, 3, 5, 4}}, .attributes = {{"factor", -0.5}, {"shift", 0.25}}}};
  return op;
}

}  // namespace trireme
