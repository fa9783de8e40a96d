// Softmax and cross entropy in one, which is stable (the maximum is subtracted) and has the simple gradient
// probabilities - targets. With label smoothing s (Szegedy et al., "Rethinking the Inception architecture",
// 2016) the targets are 1 - s + s / C for the label and s / C for the others. Where a sample has several
// positions (text), it counts with the mean over them.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "graph/index_checks.h"
#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

std::vector<TensorType> loss_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& logits = labelled_input(inputs, "logits[N, ..., C]");
  real_within(attributes, "label_smoothing", 0.0, 1.0);
  return {{logits.dtype, {}}, logits};
}

// Maximum, subtraction, exponential, sum, division and the weighted sum of logits.
double loss_flops(const Graph& graph, const Node& node) {
  return 6.0 * static_cast<double>(graph.shape(node.inputs[0]).elements());
}

std::vector<ValueId> loss_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  if (output_gradient != no_id) {
    throw GraphError("{}: softmax_cross_entropy is a loss: its own gradient is 1, none can be given",
                     node.origin);
  }
  return {
      writer.add_one("softmax_cross_entropy_backward", {node.outputs[1], node.inputs[1]}, node.attributes),
      no_id};
}

template <class T>
void loss_reference(const KernelCall& call) {
  int64_t classes = call.input_shape(0).back(), rows = call.input_shape(0).elements() / classes;
  int64_t positions = rows / call.input_shape(0)[0];
  double smoothing = call.node.attributes.real("label_smoothing");
  double loss = 0;
  for (int64_t s = 0; s < rows; ++s) {
    const T* z = call.input<T>(0) + s * classes;
    T* p = call.output<T>(1) + s * classes;
    int32_t label = call.input<int32_t>(1)[s];
    check_label(label, classes, s / positions, call.scalars);
    double largest = *std::max_element(z, z + classes);
    double exponentials = 0, sum = 0;
    for (int64_t c = 0; c < classes; ++c) {
      exponentials += std::exp(double{z[c]} - largest);
      sum += double{z[c]} - largest;
    }
    for (int64_t c = 0; c < classes; ++c) {
      p[c] = static_cast<T>(std::exp(double{z[c]} - largest) / exponentials);
    }
    double at_label = double{z[label]} - largest, mean = sum / static_cast<double>(classes);
    loss += std::log(exponentials) - (1 - smoothing) * at_label - smoothing * mean;
  }
  *call.output<T>(0) = static_cast<T>(loss * (call.scalars.sample_weight / static_cast<double>(positions)));
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& probabilities = labelled_input(inputs, "probabilities[N, ..., C]");
  real_within(attributes, "label_smoothing", 0.0, 1.0);
  return {probabilities};
}

double backward_flops(const Graph& graph, const Node& node) { return 2.0 * output_elements(graph, node); }

template <class T>
void backward_reference(const KernelCall& call) {
  int64_t classes = call.input_shape(0).back(), rows = call.input_shape(0).elements() / classes;
  double weight = call.scalars.sample_weight / static_cast<double>(rows / call.input_shape(0)[0]);
  double smoothing = call.node.attributes.real("label_smoothing");
  const T* p = call.input<T>(0);
  T* dz = call.output<T>(0);
  for (int64_t s = 0; s < rows; ++s) {
    int32_t label = call.input<int32_t>(1)[s];
    for (int64_t c = 0; c < classes; ++c) {
      double target = smoothing / static_cast<double>(classes) + (c == label ? 1 - smoothing : 0);
      dz[s * classes + c] = static_cast<T>((double{p[s * classes + c]} - target) * weight);
    }
  }
}

AttributeRule smoothing_attribute() {
  return {"label_smoothing", 0.0, "share of the target that is spread over all classes, in [0, 1)"};
}

}  // namespace

Op softmax_cross_entropy_op() {
  Op op;
  op.name = "softmax_cross_entropy";
  op.doc =
      "loss = the sum over samples of sample_weight * -(the sum over c of target[c] log softmax(logits)[c]), "
      "the "
      "mean over a sample's positions, a statistic; probabilities = softmax(logits). A label out of range is "
      "a DataError";
  op.inputs = {"logits[N, ..., C]", "labels[N, ...]"};
  op.outputs = {"loss[]", "probabilities[N, ..., C]"};
  op.required_inputs = op.max_inputs = 2;
  op.attributes = {smoothing_attribute()};
  op.shape = loss_shape;
  op.flops = loss_flops;
  op.gradient = loss_gradient;
  op.reference_float = loss_reference<float>;
  op.reference_double = loss_reference<double>;
  op.statistic_outputs = {{0, -1}};
  op.is_loss = true;
  op.samples = {
      {.inputs = {{3, 10}, {3}}, .labels = {1}, .classes = 10},
      {.inputs = {{7, 3}, {7}}, .attributes = {{"label_smoothing", 0.1}}, .labels = {1}, .classes = 3},
      {.inputs = {{1, 17}, {1}}, .labels = {1}, .classes = 17},
      {.inputs = {{2, 5, 7}, {2, 5}}, .attributes = {{"label_smoothing", 0.1}}, .labels = {1}, .classes = 7},
  };
  return op;
}

Op softmax_cross_entropy_backward_op() {
  Op op;
  op.name = "softmax_cross_entropy_backward";
  op.doc = "dlogits = (probabilities - targets) * sample_weight / a sample's positions";
  op.inputs = {"probabilities[N, ..., C]", "labels[N, ...]"};
  op.outputs = {"dlogits[N, ..., C]"};
  op.required_inputs = op.max_inputs = 2;
  op.attributes = {smoothing_attribute()};
  op.shape = backward_shape;
  op.flops = backward_flops;
  op.reference_float = backward_reference<float>;
  op.reference_double = backward_reference<double>;
  op.samples = {
      {.inputs = {{3, 10}, {3}}, .labels = {1}, .classes = 10},
      {.inputs = {{7, 3}, {7}}, .attributes = {{"label_smoothing", 0.1}}, .labels = {1}, .classes = 3},
      {.inputs = {{2, 5, 7}, {2, 5}}, .labels = {1}, .classes = 7},
  };
  return op;
}

}  // namespace trireme
