// How many samples (or positions of samples) the model gets right, as this rank's share of the accuracy.
#include <algorithm>

#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

std::vector<TensorType> correct_shape(InputTypes inputs, const Attributes&) {
  return {{labelled_input(inputs, "logits[N, ..., C]").dtype, {}}};
}

double correct_flops(const Graph& graph, const Node& node) {
  return static_cast<double>(graph.shape(node.inputs[0]).elements());
}

template <class T>
void correct_reference(const KernelCall& call) {
  int64_t classes = call.input_shape(0).back(), rows = call.input_shape(0).elements() / classes;
  double weight = call.scalars.sample_weight / static_cast<double>(rows / call.input_shape(0)[0]);
  int64_t correct = 0;
  for (int64_t s = 0; s < rows; ++s) {
    const T* z = call.input<T>(0) + s * classes;
    correct += std::max_element(z, z + classes) - z == call.input<int32_t>(1)[s];
  }
  *call.output<T>(0) = static_cast<T>(static_cast<double>(correct) * weight);
}

}  // namespace

Op top1_correct_op() {
  Op op;
  op.name = "top1_correct";
  op.doc =
      "correct = sample_weight * the number of samples whose largest logit (the first of equals) is the "
      "label's; where a sample has several positions, it counts with the share of them";
  op.inputs = {"logits[N, ..., C]", "labels[N, ...]"};
  op.outputs = {"correct[]"};
  op.required_inputs = op.max_inputs = 2;
  op.shape = correct_shape;
  op.flops = correct_flops;
  op.reference_float = correct_reference<float>;
  op.reference_double = correct_reference<double>;
  op.statistic_outputs = {{0, -1}};
  op.samples = {{.inputs = {{9, 3}, {9}}, .labels = {1}, .classes = 3},
                {.inputs = {{4, 17}, {4}}, .labels = {1}, .classes = 17},
                {.inputs = {{3, 5, 4}, {3, 5}}, .labels = {1}, .classes = 4}};
  return op;
}

}  // namespace trireme
