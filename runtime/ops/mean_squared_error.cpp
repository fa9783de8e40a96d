// The loss of regression: loss = the sum over samples of sample_weight * the mean over the K values of
// (prediction - target)^2.
#include "base/error.h"
#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

const TensorType& prediction_of(InputTypes inputs) {
  const TensorType& prediction = floating_input(inputs, 0, "prediction[N, K]", 2);
  expect_input(inputs, 1, "targets[N, K]", prediction);
  return prediction;
}

double flops_an_element(const Graph& graph, const Node& node) {
  return 3.0 * static_cast<double>(graph.shape(node.inputs[0]).elements());
}

std::vector<ValueId> loss_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  if (output_gradient != no_id) {
    throw GraphError("{}: mean_squared_error is a loss: its own gradient is 1, none can be given",
                     node.origin);
  }
  return {writer.add_one("mean_squared_error_backward", node.inputs), no_id};
}

template <class T>
void loss_reference(const KernelCall& call) {
  const T* prediction = call.input<T>(0);
  const T* targets = call.input<T>(1);
  double sum = 0;
  for (int64_t i = 0; i < call.input_shape(0).elements(); ++i) {
    double difference = double{prediction[i]} - double{targets[i]};
    sum += difference * difference;
  }
  *call.output<T>(0) =
      static_cast<T>(sum / static_cast<double>(call.input_shape(0)[1]) * call.scalars.sample_weight);
}

template <class T>
void backward_reference(const KernelCall& call) {
  const T* prediction = call.input<T>(0);
  const T* targets = call.input<T>(1);
  T* gradient = call.output<T>(0);
  double scale = 2.0 * call.scalars.sample_weight / static_cast<double>(call.input_shape(0)[1]);
  for (int64_t i = 0; i < call.input_shape(0).elements(); ++i) {
    gradient[i] = static_cast<T>(scale * (double{prediction[i]} - double{targets[i]}));
  }
}

}  // namespace

Op mean_squared_error_op() {
  Op op;
  op.name = "mean_squared_error";
  op.doc =
      "loss = the sum over samples of sample_weight * (the mean over k of (prediction - targets)^2), a "
      "statistic; not "
      "differentiated by the targets";
  op.inputs = {"prediction[N, K]", "targets[N, K]"};
  op.outputs = {"loss[]"};
  op.required_inputs = op.max_inputs = 2;
  op.shape = [](InputTypes inputs, const Attributes&) {
    return std::vector<TensorType>{{prediction_of(inputs).dtype, {}}};
  };
  op.flops = flops_an_element;
  op.gradient = loss_gradient;
  op.reference_float = loss_reference<float>;
  op.reference_double = loss_reference<double>;
  op.statistic_outputs = {{0, -1}};
  op.is_loss = true;
  op.samples = {{.inputs = {{3, 7}, {3, 7}}, .targets = {1}}, {.inputs = {{5, 1}, {5, 1}}, .targets = {1}}};
  return op;
}

Op mean_squared_error_backward_op() {
  Op op;
  op.name = "mean_squared_error_backward";
  op.doc = "dprediction = 2 / K (prediction - targets) * sample_weight";
  op.inputs = {"prediction[N, K]", "targets[N, K]"};
  op.outputs = {"dprediction[N, K]"};
  op.required_inputs = op.max_inputs = 2;
  op.shape = [](InputTypes inputs, const Attributes&) {
    return std::vector<TensorType>{prediction_of(inputs)};
  };
  op.flops = flops_an_element;
  op.reference_float = backward_reference<float>;
  op.reference_double = backward_reference<double>;
  op.in_place_input = 0;
  op.samples = {{.inputs = {{3, 7}, {3, 7}}}, {.inputs = {{5, 1}, {5, 1}}}};
  return op;
}

}  // namespace trireme
