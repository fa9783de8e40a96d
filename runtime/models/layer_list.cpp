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

ValueId write_pool(NetWriter& net, ValueId x, const LayerConfig& layer) {
  int64_t stride = layer.stride > 0 ? layer.stride : layer.kernel;
  return net.apply(layer.kind, {x},
                   {{"kernel", layer.kernel}, {"stride", stride}, {"padding", layer.padding}});
}

ValueId write_layer(NetWriter& net, ValueId x, const LayerConfig& layer) {
  const std::string& kind = layer.kind;
  if (kind == "linear") return write_linear(net, x, layer);
  if (kind == "convolution") return write_convolution(net, x, layer);
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

ValueId write_layers(NetWriter& net, ValueId input, const std::vector<LayerConfig>& layers) {
  std::map<std::string, int> counts;
  ValueId value = input;
  for (size_t i = 0; i < layers.size(); ++i) {
    const LayerConfig& layer = layers[i];
    net.at(fmt::format("{}{}", layer.kind, ++counts[layer.kind]));
    if (i == 0 || begins_layer(layer.kind)) net.begin_layer();
    try {
      value = write_layer(net, value, layer);
    } catch (const GraphError& error) {
      throw MisfitError(fmt::format("model.layer[{}]", i),
                        fmt::format("{} does not fit its input {}: {}", layer.kind,
                                    net.shape(value).to_string(), error.what()));
    }
  }
  return value;
}

}  // namespace trireme
