// The presets that are chains of layers.
#include "base/error.h"
#include "models/net_writer.h"

namespace trireme {
namespace {

LayerConfig layer_of(std::string kind) {
  LayerConfig layer;
  layer.kind = std::move(kind);
  return layer;
}

LayerConfig linear(int64_t units) {
  LayerConfig layer = layer_of("linear");
  layer.units = units;
  return layer;
}

LayerConfig convolution(int64_t channels, int64_t kernel, int64_t padding, bool bias) {
  LayerConfig layer = layer_of("convolution");
  layer.channels = channels;
  layer.kernel = kernel;
  layer.stride = 1;
  layer.padding = padding;
  layer.bias = bias;
  return layer;
}

LayerConfig halving_max_pool() {
  LayerConfig layer = layer_of("max_pool");
  layer.kernel = 2;
  layer.stride = 2;
  return layer;
}

void append_dropout(std::vector<LayerConfig>& layers, double rate) {
  if (rate <= 0) return;
  LayerConfig layer = layer_of("dropout");
  layer.rate = rate;
  layers.push_back(layer);
}

// Linear layers with an activation (and dropout) behind each.
std::vector<LayerConfig> mlp(const ModelConfig& model) {
  std::vector<LayerConfig> layers{layer_of("flatten")};
  for (int64_t units : model.hidden) {
    layers.push_back(linear(units));
    layers.push_back(layer_of(model.activation));
    append_dropout(layers, model.dropout);
  }
  return layers;
}

// LeNet-5 as taught today (LeCun et al., "Gradient-based learning applied to document recognition", 1998,
// with max pooling): two 5x5 convolutions, two poolings, three linear layers.
std::vector<LayerConfig> lenet(const ModelConfig& model) {
  LayerConfig activation = layer_of(model.activation);
  std::vector<LayerConfig> layers{convolution(6, 5, 2, true),  activation, halving_max_pool(),
                                  convolution(16, 5, 0, true), activation, halving_max_pool(),
                                  layer_of("flatten")};
  for (int64_t units : {120, 84}) {
    layers.push_back(linear(units));
    layers.push_back(activation);
    append_dropout(layers, model.dropout);
  }
  return layers;
}

// Batch normalisation, or group normalisation where the config wants it.
LayerConfig norm(const ModelConfig& model, int64_t channels) {
  LayerConfig layer = layer_of(model.norm == "group" ? "group_norm" : "batch_norm");
  if (model.norm == "group") layer.groups = preset_groups(channels);
  return layer;
}

// Per entry of `channels`: convolution padded by half its kernel, norm, relu, 2x2 max pooling. Then one
// hidden linear layer.
std::vector<LayerConfig> cnn(const ModelConfig& model) {
  std::vector<LayerConfig> layers;
  for (int64_t channels : model.channels) {
    layers.push_back(
        convolution(channels, model.kernel, model.kernel / 2, false));  // the norm behind it has the bias
    layers.push_back(norm(model, channels));
    layers.push_back(layer_of("relu"));
    layers.push_back(halving_max_pool());
  }
  layers.push_back(layer_of("flatten"));
  append_dropout(layers, model.dropout);
  if (model.dense > 0) {
    layers.push_back(linear(model.dense));
    layers.push_back(layer_of("relu"));
    append_dropout(layers, model.dropout);
  }
  return layers;
}

// Recurrent layers over embedded tokens, with dropout behind each, between layers and before the head, but
// not within the recurrence (Zaremba et al., arXiv 1409.2329).
std::vector<LayerConfig> recurrent(const ModelConfig& model) {
  LayerConfig embedding = layer_of("embedding");
  embedding.units = model.embedding > 0 ? model.embedding : model.units;
  std::vector<LayerConfig> layers{embedding};
  LayerConfig layer = layer_of(model.kind);
  layer.units = model.units;
  for (int64_t i = 0; i < (model.depth > 0 ? model.depth : 2); ++i) {
    layers.push_back(layer);
    append_dropout(layers, model.dropout);
  }
  return layers;
}

}  // namespace

std::vector<LayerConfig> expand_layers(const ModelConfig& model, const SampleShape& sample) {
  if (model.kind == "layers") return model.layer;
  std::vector<LayerConfig> layers;
  if (model.kind == "mlp") layers = mlp(model);
  if (model.kind == "lenet") layers = lenet(model);
  if (model.kind == "cnn") layers = cnn(model);
  if (model.kind == "rnn" || model.kind == "lstm") layers = recurrent(model);
  if (layers.empty()) throw ConfigError("model.kind = \"{}\": no such chain of layers", model.kind);
  layers.push_back(linear(head_units(sample)));
  return layers;
}

}  // namespace trireme
