// Turns a list of layers into nodes, one after another.
#include <map>
#include <string>

#include "base/error.h"
#include "models/builders.h"
#include "models/misfit.h"

namespace trireme {
namespace {

// Layers with weights of their own begin a layer of the graph; what follows one belongs to it.
bool begins_layer(const std::string& kind) {
  return kind == "linear" || kind == "convolution" || kind == "transposed_convolution" ||
         kind == "embedding" || kind == "rnn" || kind == "lstm" || kind == "attention";
}

ValueId flatten_images(NetWriter& net, ValueId x) {
  return net.shape(x).rank() == 4 ? net.apply("flatten", {x}) : x;
}

ValueId write_linear(NetWriter& net, ValueId x, const LayerConfig& layer) {
  x = flatten_images(net, x);
  Initializer start = uniform_start(net.shape(x).back());
  return net.linear(x, layer.units, start, layer.bias ? &start : nullptr);
}

ValueId write_convolution(NetWriter& net, ValueId x, const LayerConfig& layer) {
  if (net.shape(x).rank() != 4) throw GraphError("a convolution needs images; put it before flatten");
  Initializer start = uniform_start(net.shape(x).back() * layer.kernel * layer.kernel);
  int64_t stride = layer.stride > 0 ? layer.stride : 1;
  return net.convolution(x, layer.channels, layer.kernel, stride, layer.padding, start,
                         layer.bias ? &start : nullptr);
}

ValueId write_transposed_convolution(NetWriter& net, ValueId x, const LayerConfig& layer) {
  if (net.shape(x).rank() != 4)
    throw GraphError("a transposed convolution needs images; put it before flatten");
  // Each output pixel sums about (kernel / stride)^2 windows, but the bound of the convolution it transposes
  // is what PyTorch takes too.
  Initializer start = uniform_start(layer.channels * layer.kernel * layer.kernel);
  int64_t stride = layer.stride > 0 ? layer.stride : 1;
  return net.transposed_convolution(x, layer.channels, layer.kernel, stride, layer.padding, start,
                                    layer.bias ? &start : nullptr);
}

ValueId write_attention(NetWriter& net, ValueId x, const LayerConfig& layer) {
  if (net.shape(x).rank() != 3)
    throw GraphError("attention needs tokens with channels; put it behind an embedding");
  Initializer start = uniform_start(net.shape(x).back());
  return net.attention(x, layer.heads, 0, start, start, start);
}

// What comes in at all positions is one matrix product, the recurrence is the op. Weights and biases start
// uniform in +-1/sqrt(units), as PyTorch's do; one bias a layer, and the forget gate's starts like the
// others.
ValueId write_recurrent(NetWriter& net, ValueId x, const LayerConfig& layer) {
  if (net.shape(x).rank() != 3)
    throw GraphError("a recurrent layer needs tokens with channels; put it behind an embedding");
  Initializer start = uniform_start(layer.units);
  int64_t outputs = layer.kind == "lstm" ? 4 * layer.units : layer.units;
  ValueId gates = net.linear(x, outputs, start, &start);
  return net.apply(layer.kind, {gates, net.parameter("recurrent_weight", {layer.units, outputs}, start)});
}

ValueId write_pool(NetWriter& net, ValueId x, const LayerConfig& layer) {
  int64_t stride = layer.stride > 0 ? layer.stride : layer.kernel;
  return net.apply(layer.kind, {x},
                   {{"kernel", layer.kernel}, {"stride", stride}, {"padding", layer.padding}});
}

ValueId write_layer(NetWriter& net, ValueId x, const LayerConfig& layer, const SampleShape& sample) {
  const std::string& kind = layer.kind;
  if (kind == "linear") return write_linear(net, x, layer);
  if (kind == "convolution") return write_convolution(net, x, layer);
  if (kind == "transposed_convolution") return write_transposed_convolution(net, x, layer);
  if (kind == "embedding") {
    return net.embedding(x, sample.vocabulary, layer.units, layer.positions, normal_start(1));
  }
  if (kind == "rnn" || kind == "lstm") return write_recurrent(net, x, layer);
  if (kind == "attention") return write_attention(net, x, layer);
  if (kind == "batch_norm") return net.batch_norm(x, layer.epsilon, layer.momentum);
  if (kind == "group_norm") return net.group_norm(x, layer.groups, layer.epsilon);
  if (kind == "layer_norm") return net.layer_norm(x, layer.epsilon);
  if (kind == "max_pool" || kind == "average_pool") return write_pool(net, x, layer);
  if (kind == "dropout") return net.dropout(x, layer.rate);
  if (kind == "flatten") return net.shape(x).rank() > 2 ? net.apply("flatten", {x}) : x;
  if (kind == "leaky_relu") return net.apply(kind, {x}, {{"slope", layer.slope}});
  return net.apply(kind, {x});  // relu, gelu, tanh, sigmoid, global_average_pool
}

}  // namespace

ValueId write_layers(NetWriter& net, ValueId input, const std::vector<LayerConfig>& layers,
                     const SampleShape& sample) {
  std::map<std::string, int> counts;
  ValueId value = input;
  bool begun = false;  // what comes before the first weights (flatten) belongs to their layer
  for (size_t i = 0; i < layers.size(); ++i) {
    const LayerConfig& layer = layers[i];
    net.at(fmt::format("{}{}", layer.kind, ++counts[layer.kind]));
    if (i == 0 || (begins_layer(layer.kind) && begun)) net.begin_layer();
    begun = begun || begins_layer(layer.kind);
    try {
      value = write_layer(net, value, layer, sample);
    } catch (const GraphError& error) {
      throw MisfitError(fmt::format("model.layer[{}]", i),
                        fmt::format("{} does not fit its input {}: {}", layer.kind,
                                    net.shape(value).to_string(), error.what()));
    }
  }
  return value;
}

}  // namespace trireme
