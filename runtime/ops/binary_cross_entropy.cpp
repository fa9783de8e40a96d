// Binary cross entropy of logits z against targets t in [0, 1], in the form that neither overflows nor loses
// digits for large |z|:  -t log(sigmoid(z)) - (1 - t) log(1 - sigmoid(z)) = max(z, 0) - z t + log(1 +
// exp(-|z|)). Its gradient is sigmoid(z) - t. A sample's loss is the mean over its values.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

const TensorType& logits_of(InputTypes inputs, const Attributes& attributes) {
  const TensorType& logits = floating_input(inputs, 0, "logits[N, ...]", any_rank);
  if (inputs[1]) expect_input(inputs, 1, "targets[N, ...]", logits);
  real_within(attributes, "target", 0.0, 1.0 + 1e-12);
  return logits;
}

// The exponential, its logarithm or quotient, and the sums.
double flops_an_element(const Graph& graph, const Node& node) {
  return 6.0 * static_cast<double>(graph.shape(node.inputs[0]).elements());
}

std::vector<ValueId> loss_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  if (output_gradient != no_id) {
    throw GraphError("{}: binary_cross_entropy is a loss: its own gradient is 1, none can be given",
                     node.origin);
  }
  return {writer.add_one("binary_cross_entropy_backward", node.inputs, node.attributes), no_id};
}

double values_a_sample(const Shape& logits) {
  return static_cast<double>(logits.elements()) / static_cast<double>(logits[0]);
}

template <class T>
void loss_reference(const KernelCall& call) {
  const T* logits = call.input<T>(0);
  const T* targets = call.has_input(1) ? call.input<T>(1) : nullptr;
  double target = call.node.attributes.real("target");
  double sum = 0;
  for (int64_t i = 0; i < call.input_shape(0).elements(); ++i) {
    double z = logits[i], t = targets ? double{targets[i]} : target;
    sum += std::max(z, 0.0) - z * t + std::log1p(std::exp(-std::abs(z)));
  }
  *call.output<T>(0) =
      static_cast<T>(sum / values_a_sample(call.input_shape(0)) * call.scalars.sample_weight);
}

template <class T>
void backward_reference(const KernelCall& call) {
  const T* logits = call.input<T>(0);
  const T* targets = call.has_input(1) ? call.input<T>(1) : nullptr;
  T* gradient = call.output<T>(0);
  double target = call.node.attributes.real("target");
  double scale = call.scalars.sample_weight / values_a_sample(call.input_shape(0));
  for (int64_t i = 0; i < call.input_shape(0).elements(); ++i) {
    // exp of a negative number only.
    double z = logits[i], small = std::exp(-std::abs(z));
    double sigmoid = z >= 0 ? 1 / (1 + small) : small / (1 + small);
    gradient[i] = static_cast<T>(scale * (sigmoid - (targets ? double{targets[i]} : target)));
  }
}

AttributeRule target_attribute() {
  return {"target", 1.0, "of every value where no targets are given, in [0, 1]"};
}

}  // namespace

Op binary_cross_entropy_op() {
  Op op;
  op.name = "binary_cross_entropy";
  op.doc =
      "loss = the sum over samples of sample_weight * (the mean over a sample's values of -t log s - (1 - t) "
      "log(1 - "
      "s)), s = sigmoid(logits), a statistic; not differentiated by the targets";
  op.inputs = {"logits[N, ...]", "targets[N, ...]"};
  op.outputs = {"loss[]"};
  op.max_inputs = 2;
  op.attributes = {target_attribute()};
  op.shape = [](InputTypes inputs, const Attributes& attributes) {
    return std::vector<TensorType>{{logits_of(inputs, attributes).dtype, {}}};
  };
  op.flops = flops_an_element;
  op.gradient = loss_gradient;
  op.reference_float = loss_reference<float>;
  op.reference_double = loss_reference<double>;
  op.statistic_outputs = {{0, -1}};
  op.is_loss = true;
  op.samples = {{.inputs = {{3, 7}, {3, 7}}, .targets = {1}},
                {.inputs = {{5, 1}, {}}, .absent = {1}},
                {.inputs = {{2, 3, 3, 1}, {}}, .attributes = {{"target", 0.1}}, .absent = {1}}};
  return op;
}

Op binary_cross_entropy_backward_op() {
  Op op;
  op.name = "binary_cross_entropy_backward";
  op.doc = "dlogits = (sigmoid(logits) - t) * sample_weight / values a sample";
  op.inputs = {"logits[N, ...]", "targets[N, ...]"};
  op.outputs = {"dlogits[N, ...]"};
  op.max_inputs = 2;
  op.attributes = {target_attribute()};
  op.shape = [](InputTypes inputs, const Attributes& attributes) {
    return std::vector<TensorType>{logits_of(inputs, attributes)};
  };
  op.flops = flops_an_element;
  op.reference_float = backward_reference<float>;
  op.reference_double = backward_reference<double>;
  op.in_place_input = 0;
  op.samples = {{.inputs = {{3, 7}, {3, 7}}, .targets = {1}},
                {.inputs = {{5, 1}, {}}, .attributes = {{"target", 0.0}}, .absent = {1}}};
  return op;
}

}  // namespace trireme
