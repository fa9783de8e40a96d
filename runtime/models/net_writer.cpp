#include "models/net_writer.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace trireme {

Initializer uniform_start(int64_t fan_in) {
  return {Initializer::Kind::uniform, 1.0 / std::sqrt(static_cast<double>(fan_in))};
}

Initializer kaiming_start(int64_t fan_out) {
  return {Initializer::Kind::normal, std::sqrt(2.0 / static_cast<double>(fan_out))};
}

int64_t preset_groups(int64_t channels) { return std::gcd(int64_t{32}, channels); }

NetWriter::NetWriter(Graph& graph, GraphMode mode, Role parameter_role)
    : graph_(graph), writer_(graph, ""), mode_(mode), parameter_role_(parameter_role) {}

void NetWriter::at(std::string name) {
  name_ = std::move(name);
  writer_.set_origin(name_);
}

void NetWriter::begin_layer() { writer_.set_layer(++layer_); }

void NetWriter::end_layers() { writer_.set_layer(-1); }

ValueId NetWriter::parameter(std::string_view what, Shape shape, Initializer start) {
  std::string name = fmt::format("{}.{}", name_, what);
  for (size_t i = 0; i < graph_.values.size(); ++i) {
    const Value& value = graph_.values[i];
    if (value.role != parameter_role_ || value.name != name) continue;
    if (value.type.shape != shape) {
      throw GraphError("{}: parameter {} is {} already, not {}", name_, name, value.type.shape.to_string(),
                       shape.to_string());
    }
    return static_cast<ValueId>(i);
  }
  if (parameter_role_ == Role::frozen) {
    return graph_.add_value(std::move(name), {DType::float32, std::move(shape)}, Role::frozen);
  }
  return graph_.add_parameter(std::move(name), std::move(shape), start);
}

ValueId NetWriter::apply(std::string_view op, std::vector<ValueId> inputs, Attributes attributes) {
  return writer_.add(op, std::move(inputs), std::move(attributes))[0];
}

ValueId NetWriter::linear(ValueId x, int64_t units, Initializer weight, const Initializer* bias) {
  ValueId w = parameter("weight", {shape(x).back(), units}, weight);
  ValueId b = bias ? parameter("bias", {units}, *bias) : no_id;
  return apply("linear", {x, w, b});
}

ValueId NetWriter::convolution(ValueId x, int64_t channels, int64_t kernel, int64_t stride, int64_t padding,
                               Initializer weight, const Initializer* bias) {
  ValueId w = parameter("weight", {kernel, kernel, shape(x).back(), channels}, weight);
  ValueId b = bias ? parameter("bias", {channels}, *bias) : no_id;
  return apply("convolution", {x, w, b}, {{"stride", stride}, {"padding", padding}});
}

ValueId NetWriter::transposed_convolution(ValueId x, int64_t channels, int64_t kernel, int64_t stride,
                                          int64_t padding, Initializer weight, const Initializer* bias) {
  ValueId w = parameter("weight", {kernel, kernel, channels, shape(x).back()}, weight);
  ValueId b = bias ? parameter("bias", {channels}, *bias) : no_id;
  return apply("transposed_convolution", {x, w, b}, {{"stride", stride}, {"padding", padding}});
}

ValueId NetWriter::embedding(ValueId tokens, int64_t vocabulary, int64_t channels, bool positions,
                             Initializer start) {
  ValueId weight = parameter("weight", {vocabulary, channels}, start);
  ValueId places = positions ? parameter("positions", {shape(tokens).back(), channels}, start) : no_id;
  return apply("embedding", {tokens, weight, places});
}

ValueId NetWriter::attention(ValueId x, int64_t heads, double rate, Initializer weight,
                             Initializer projection, Initializer bias) {
  std::string name = name_;
  int64_t channels = shape(x).back(), stream = ++dropouts_;
  at(name + ".qkv");
  ValueId qkv = linear(x, 3 * channels, weight, &bias);
  at(name);
  if (mode_ == GraphMode::evaluation) rate = 0;
  ValueId y = apply("attention", {qkv},
                    {{"heads", heads}, {"causal", int64_t{1}}, {"rate", rate}, {"layer", stream}});
  at(name + ".projection");
  y = linear(y, channels, projection, &bias);
  at(name);
  return y;
}

ValueId NetWriter::batch_norm(ValueId x, double epsilon, double momentum, Initializer gamma) {
  int64_t channels = shape(x).back();
  std::vector<ValueId> inputs{x, parameter("weight", {channels}, gamma),
                              parameter("bias", {channels}, constant_start(0)),
                              graph_.add_state(name_ + ".running_mean", {channels}, constant_start(0)),
                              graph_.add_state(name_ + ".running_variance", {channels}, constant_start(1))};
  if (mode_ == GraphMode::evaluation) {
    return apply("batch_norm_inference", std::move(inputs), {{"epsilon", epsilon}});
  }
  return apply("batch_norm", std::move(inputs), {{"epsilon", epsilon}, {"momentum", momentum}});
}

ValueId NetWriter::batch_norm_by_batch(ValueId x, double epsilon) {
  int64_t channels = shape(x).back();
  ValueId weight = parameter("weight", {channels}, constant_start(1));
  ValueId bias = parameter("bias", {channels}, constant_start(0));
  return apply("batch_norm", {x, weight, bias}, {{"epsilon", epsilon}});
}

ValueId NetWriter::group_norm(ValueId x, int64_t groups, double epsilon, Initializer gamma) {
  int64_t channels = shape(x).back();
  ValueId weight = parameter("weight", {channels}, gamma);
  ValueId bias = parameter("bias", {channels}, constant_start(0));
  return apply("group_norm", {x, weight, bias}, {{"groups", groups}, {"epsilon", epsilon}});
}

ValueId NetWriter::layer_norm(ValueId x, double epsilon) {
  int64_t channels = shape(x).back();
  ValueId weight = parameter("weight", {channels}, constant_start(1));
  ValueId bias = parameter("bias", {channels}, constant_start(0));
  return apply("layer_norm", {x, weight, bias}, {{"epsilon", epsilon}});
}

ValueId NetWriter::dropout(ValueId x, double rate) {
  int64_t stream = ++dropouts_;
  if (mode_ == GraphMode::evaluation || rate <= 0) return x;
  return apply("dropout", {x}, {{"rate", rate}, {"layer", stream}});
}

}  // namespace trireme
