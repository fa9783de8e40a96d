// Group normalisation (Wu and He, "Group normalization", 2018): every sample is normalised by itself, over
// all positions and the channels of one group, so that it depends neither on the batch nor on ranks.
#include <cmath>

#include "base/error.h"
#include "ops/ops.h"
#include "ops/references.h"
#include "ops/rules.h"

namespace trireme {
namespace {

// x[N, ..., C] as [samples, positions, groups, width]; a group's values are not contiguous.
struct Extents {
  int64_t samples, positions, groups, width;
  double count() const { return static_cast<double>(positions * width); }
  int64_t channels() const { return groups * width; }
  // Calls body(place in the tensor, channel) for every value of one sample's group.
  template <class Body>
  void for_group(int64_t sample, int64_t group, const Body& body) const {
    for (int64_t p = 0; p < positions; ++p) {
      for (int64_t c = group * width; c < (group + 1) * width; ++c) {
        body((sample * positions + p) * channels() + c, c);
      }
    }
  }
};

Extents extents_of(const Shape& x, const Attributes& attributes) {
  int64_t groups = attributes.integer("groups");
  return {x[0], x.elements() / x[0] / x.back(), groups, x.back() / groups};
}

// Checks the first input and `groups`.
const TensorType& normalised_input(InputTypes inputs, const Attributes& attributes, std::string_view layout) {
  const TensorType& x = activation_input(inputs, 0, layout, any_rank);
  if (x.shape.rank() < 2)
    throw GraphError("input 0 ({}) must have two or more axes, got {}", layout, describe(x));
  int64_t groups = integer_of_at_least(attributes, "groups", 1);
  if (x.shape.back() % groups != 0) {
    throw GraphError("{} channels do not fall into {} groups of one size", x.shape.back(), groups);
  }
  return x;
}

std::vector<TensorType> forward_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& x = normalised_input(inputs, attributes, "x[N, ..., C]");
  TensorType channel = {wide(x.dtype), {x.shape.back()}};
  expect_input(inputs, 1, "gamma[C]", channel);
  expect_input(inputs, 2, "beta[C]", channel);
  real_within(attributes, "epsilon", 0.0, 1.0);
  TensorType saved = {wide(x.dtype), {x.shape[0], attributes.integer("groups")}};
  return {x, saved, saved};
}

std::vector<ValueId> group_norm_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  return writer.add("group_norm_backward",
                    {output_gradient, node.inputs[0], node.inputs[1], node.outputs[1], node.outputs[2]},
                    {{"groups", node.attributes.integer("groups")}});
}

template <class T>
void forward_reference(const KernelCall& call) {
  Extents e = extents_of(call.input_shape(0), call.node.attributes);
  const T* x = call.input<T>(0);
  const auto* gamma = call.input<Wide<T>>(1);
  const auto* beta = call.input<Wide<T>>(2);
  T* y = call.output<T>(0);
  double epsilon = call.node.attributes.real("epsilon");
  for (int64_t s = 0; s < e.samples; ++s) {
    for (int64_t g = 0; g < e.groups; ++g) {
      double sum = 0, squares = 0;
      e.for_group(s, g, [&](int64_t at, int64_t) { sum += double(x[at]); });
      double mean = sum / e.count();
      e.for_group(s, g, [&](int64_t at, int64_t) {
        double deviation = double(x[at]) - mean;
        squares += deviation * deviation;
      });
      double inv_std = 1 / std::sqrt(squares / e.count() + epsilon);
      call.output<Wide<T>>(1)[s * e.groups + g] = static_cast<Wide<T>>(mean);
      call.output<Wide<T>>(2)[s * e.groups + g] = static_cast<Wide<T>>(inv_std);
      e.for_group(s, g, [&](int64_t at, int64_t c) {
        y[at] = narrow<T>(double{gamma[c]} * (double(x[at]) - mean) * inv_std + double{beta[c]});
      });
    }
  }
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& dy = normalised_input(inputs, attributes, "dy[N, ..., C]");
  TensorType channel = {wide(dy.dtype), {dy.shape.back()}};
  TensorType saved = {wide(dy.dtype), {dy.shape[0], attributes.integer("groups")}};
  expect_input(inputs, 1, "x[N, ..., C]", dy);
  expect_input(inputs, 2, "gamma[C]", channel);
  expect_input(inputs, 3, "saved_mean[N, G]", saved);
  expect_input(inputs, 4, "saved_inv_std[N, G]", saved);
  return {dy, channel, channel};
}

// With xhat = (x - mean) inv_std over the m values of a group: dgamma = sum dy xhat and dbeta = sum dy over
// samples and positions; dx = inv_std (gamma dy - (sum of gamma dy) / m - xhat (sum of gamma dy xhat) / m),
// sums over the group.
template <class T>
void backward_reference(const KernelCall& call) {
  Extents e = extents_of(call.input_shape(0), call.node.attributes);
  const T* dy = call.input<T>(0);
  const T* x = call.input<T>(1);
  const auto* gamma = call.input<Wide<T>>(2);
  T* dx = call.output<T>(0);
  auto mean = [&](int64_t s, int64_t g) { return double{call.input<Wide<T>>(3)[s * e.groups + g]}; };
  auto inv_std = [&](int64_t s, int64_t g) { return double{call.input<Wide<T>>(4)[s * e.groups + g]}; };
  for (int64_t c = 0; c < e.channels(); ++c) {
    double dgamma = 0, dbeta = 0;
    for (int64_t s = 0; s < e.samples; ++s) {
      for (int64_t p = 0; p < e.positions; ++p) {
        int64_t at = (s * e.positions + p) * e.channels() + c;
        dbeta += double(dy[at]);
        dgamma += double(dy[at]) * (double(x[at]) - mean(s, c / e.width)) * inv_std(s, c / e.width);
      }
    }
    call.output<Wide<T>>(1)[c] = static_cast<Wide<T>>(dgamma);
    call.output<Wide<T>>(2)[c] = static_cast<Wide<T>>(dbeta);
  }
  for (int64_t s = 0; s < e.samples; ++s) {
    for (int64_t g = 0; g < e.groups; ++g) {
      double m = mean(s, g), scale = inv_std(s, g), sum = 0, product = 0;
      e.for_group(s, g, [&](int64_t at, int64_t c) {
        double d = double{gamma[c]} * double(dy[at]);
        sum += d;
        product += d * (double(x[at]) - m) * scale;
      });
      e.for_group(s, g, [&](int64_t at, int64_t c) {
        double xhat = (double(x[at]) - m) * scale;
        double d = double{gamma[c]} * double(dy[at]);
        dx[at] = narrow<T>(scale * (d - sum / e.count() - xhat * product / e.count()));
      });
    }
  }
}

AttributeRule groups_attribute() {
  return {"groups", int64_t{0}, "number of groups of channels; must be given"};
}

}  // namespace

Op group_norm_op() {
  Op op;
  op.name = "group_norm";
  op.doc =
      "y = gamma (x - mean) / sqrt(variance + epsilon) + beta by the mean and biased variance of every "
      "sample's group "
      "of C / groups neighbouring channels, over all positions";
  op.inputs = {"x[N, ..., C]", "gamma[C]", "beta[C]"};
  op.outputs = {"y[N, ..., C]", "saved_mean[N, G]", "saved_inv_std[N, G]"};
  op.required_inputs = op.max_inputs = 3;
  op.attributes = {groups_attribute(), {"epsilon", 1e-5, "added to the variance"}};
  op.shape = forward_shape;
  op.flops = [](const Graph& graph, const Node& node) { return 8 * output_elements(graph, node); };
  op.gradient = group_norm_gradient;
  set_references(op, []<class T>(const KernelCall& call) { forward_reference<T>(call); });
  op.precision = Precision::follow;
  op.half_inputs = {0};
  op.samples = {
      {.inputs = {{3, 4, 5, 6}, {6}, {6}}, .attributes = {{"groups", int64_t{2}}}},
      {.inputs = {{2, 3, 3, 34}, {34}, {34}}, .attributes = {{"groups", int64_t{2}}, {"epsilon", 1e-3}}},
      {.inputs = {{2, 7, 3}, {3}, {3}}, .attributes = {{"groups", int64_t{3}}}},
      {.inputs = {{5, 8}, {8}, {8}}, .attributes = {{"groups", int64_t{1}}}},
  };
  return op;
}

Op group_norm_backward_op() {
  Op op;
  op.name = "group_norm_backward";
  op.doc = "The gradients of group_norm's x, gamma and beta";
  op.inputs = {"dy[N, ..., C]", "x[N, ..., C]", "gamma[C]", "saved_mean[N, G]", "saved_inv_std[N, G]"};
  op.outputs = {"dx[N, ..., C]", "dgamma[C]", "dbeta[C]"};
  op.required_inputs = op.max_inputs = 5;
  op.attributes = {groups_attribute()};
  op.shape = backward_shape;
  op.flops = [](const Graph& graph, const Node& node) { return 13 * output_elements(graph, node); };
  set_references(op, []<class T>(const KernelCall& call) { backward_reference<T>(call); });
  op.precision = Precision::follow;
  op.half_inputs = {0, 1};
  op.samples = {
      {.inputs = {{3, 4, 5, 6}, {3, 4, 5, 6}, {6}, {3, 2}, {3, 2}},
       .attributes = {{"groups", int64_t{2}}},
       .positive = {4}},
      {.inputs = {{2, 3, 3, 34}, {2, 3, 3, 34}, {34}, {2, 2}, {2, 2}},
       .attributes = {{"groups", int64_t{2}}},
       .positive = {4}},
      {.inputs = {{5, 8}, {5, 8}, {8}, {5, 1}, {5, 1}},
       .attributes = {{"groups", int64_t{1}}},
       .positive = {4}},
  };
  return op;
}

}  // namespace trireme
