#include <cmath>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/error.h"
#include "graph/op.h"
#include "models/models.h"

namespace trireme {
namespace {

// A key of the config that does not fit the data or its neighbours.
struct MisfitError : std::runtime_error {
  MisfitError(std::string config_key, const std::string& message)
      : std::runtime_error(message), key(std::move(config_key)) {}
  std::string key;
};

// Appends one layer after another; `value_` is the newest layer's output.
class LayerBuilder {
 public:
  LayerBuilder(Graph& graph, ValueId input, GraphMode mode)
      : graph_(graph), writer_(graph, ""), value_(input), mode_(mode) {}

  void add(const LayerConfig& layer, size_t index) {
    name_ = fmt::format("{}{}", layer.kind, ++counts_[layer.kind]);
    writer_.set_origin(name_);
    try {
      append(layer);
    } catch (const GraphError& error) {
      throw MisfitError(fmt::format("model.layer[{}]", index),
                        fmt::format("{} does not fit its input {}: {}", layer.kind,
                                    graph_.shape(value_).to_string(), error.what()));
    }
  }
  ValueId value() const { return value_; }

 private:
  void append(const LayerConfig& layer) {
    if (layer.kind == "linear") {
      linear(layer);
    } else if (layer.kind == "convolution") {
      convolution(layer);
    } else if (layer.kind == "batch_norm") {
      batch_norm(layer);
    } else if (layer.kind == "max_pool" || layer.kind == "average_pool") {
      int64_t stride = layer.stride > 0 ? layer.stride : layer.kernel;
      value_ = writer_.add(layer.kind, {value_},
                           {{"kernel", layer.kernel}, {"stride", stride}, {"padding", layer.padding}})[0];
    } else if (layer.kind == "dropout") {
      if (mode_ == GraphMode::training && layer.rate > 0) {
        value_ = writer_.add_one("dropout", {value_},
                                 {{"rate", layer.rate}, {"layer", int64_t{counts_["dropout"]}}});
      }
    } else if (layer.kind == "flatten") {
      flatten();
    } else {
      value_ = writer_.add_one(layer.kind, {value_});  // relu, tanh, sigmoid, global_average_pool
    }
  }

  void flatten() {
    if (graph_.shape(value_).rank() > 2) value_ = writer_.add_one("flatten", {value_});
  }

  // Weights and biases start uniform in +-1/sqrt(fan_in) (LeCun et al., "Efficient backprop", 1998).
  ValueId weight(Shape shape, int64_t fan_in) {
    return graph_.add_parameter(name_ + ".weight", std::move(shape), start(fan_in));
  }
  ValueId bias(bool wanted, int64_t units, int64_t fan_in) {
    return wanted ? graph_.add_parameter(name_ + ".bias", {units}, start(fan_in)) : no_id;
  }
  static Initializer start(int64_t fan_in) {
    return {Initializer::Kind::uniform, 1.0 / std::sqrt(static_cast<double>(fan_in))};
  }

  void linear(const LayerConfig& layer) {
    flatten();
    int64_t inputs = graph_.shape(value_).back();
    ValueId w = weight({inputs, layer.units}, inputs);
    value_ = writer_.add_one("linear", {value_, w, bias(layer.bias, layer.units, inputs)});
  }

  void convolution(const LayerConfig& layer) {
    if (graph_.shape(value_).rank() != 4)
      throw GraphError("a convolution needs images; put it before flatten");
    int64_t inputs = graph_.shape(value_).back();
    int64_t fan_in = inputs * layer.kernel * layer.kernel;
    ValueId w = weight({layer.kernel, layer.kernel, inputs, layer.channels}, fan_in);
    value_ = writer_.add_one(
        "convolution", {value_, w, bias(layer.bias, layer.channels, fan_in)},
        {{"stride", layer.stride > 0 ? layer.stride : int64_t{1}}, {"padding", layer.padding}});
  }

  void batch_norm(const LayerConfig& layer) {
    int64_t channels = graph_.shape(value_).back();
    auto constant = [](double value) { return Initializer{Initializer::Kind::constant, value}; };
    ValueId gamma = graph_.add_parameter(name_ + ".weight", {channels}, constant(1));
    ValueId beta = graph_.add_parameter(name_ + ".bias", {channels}, constant(0));
    ValueId mean = graph_.add_state(name_ + ".running_mean", {channels}, constant(0));
    ValueId variance = graph_.add_state(name_ + ".running_variance", {channels}, constant(1));
    std::vector<ValueId> inputs{value_, gamma, beta, mean, variance};
    if (mode_ == GraphMode::training) {
      value_ =
          writer_.add("batch_norm", inputs, {{"epsilon", layer.epsilon}, {"momentum", layer.momentum}})[0];
    } else {
      value_ = writer_.add_one("batch_norm_inference", inputs, {{"epsilon", layer.epsilon}});
    }
  }

  Graph& graph_;
  GraphWriter writer_;
  ValueId value_;
  GraphMode mode_;
  std::string name_;
  std::map<std::string, int> counts_;
};

Graph build(const ModelConfig& model, const SampleShape& sample, int64_t batch, GraphMode mode,
            double label_smoothing) {
  Graph graph;
  graph.name = fmt::format("{}.{}", model.kind, mode == GraphMode::training ? "training" : "evaluation");
  ValueId images =
      graph.add_input("images", {DType::float32, {batch, sample.height, sample.width, sample.channels}});
  ValueId labels = graph.add_input("labels", {DType::int32, {batch}});

  LayerBuilder builder(graph, images, mode);
  std::vector<LayerConfig> layers = expand_layers(model, sample.classes);
  for (size_t i = 0; i < layers.size(); ++i) builder.add(layers[i], i);

  ValueId logits = builder.value();
  const Shape& shape = graph.shape(logits);
  if (shape.rank() != 2 || shape.back() != sample.classes) {
    throw MisfitError(
        "model.layer",
        fmt::format("the last layer gives {} per batch, but the data set has {} classes: end with a "
                    "linear layer of units = {}",
                    shape.to_string(), sample.classes, sample.classes));
  }
  graph.value(logits).name = "logits";
  GraphWriter writer(graph, "loss");
  ValueId loss =
      writer.add("softmax_cross_entropy", {logits, labels}, {{"label_smoothing", label_smoothing}})[0];
  graph.value(loss).name = "loss";
  graph.results = {loss};
  if (mode == GraphMode::evaluation) {
    ValueId correct = writer.add_one("top1_correct", {logits, labels});
    graph.value(correct).name = "correct";
    graph.results = {loss, correct, logits};
  }
  return graph;
}

}  // namespace

Graph build_classifier(const ModelConfig& model, const SampleShape& sample, int64_t batch, GraphMode mode,
                       double label_smoothing) {
  try {
    return build(model, sample, batch, mode, label_smoothing);
  } catch (const MisfitError& error) {
    throw ConfigError("{}: {}", error.key, error.what());
  }
}

Graph build_classifier(const Config& config, const SampleShape& sample, int64_t batch, GraphMode mode) {
  try {
    return build(config.model, sample, batch, mode, config.train.label_smoothing);
  } catch (const MisfitError& error) {
    throw ConfigError("{}: {}: {}", config.where(error.key), error.key, error.what());
  }
}

}  // namespace trireme
