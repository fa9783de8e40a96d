// build_model: inputs, the family's builder, loss and results.
#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"
#include "models/builders.h"
#include "models/misfit.h"

namespace trireme {
namespace {

std::string_view learns_from(const std::string& kind) {
  if (kind == "lenet" || kind == "cnn" || kind == "resnet") return "images";
  if (kind == "rnn" || kind == "lstm" || kind == "gpt") return "text";
  if (kind == "mlp") return "images or tables";
  return "any data";
}

std::string_view fitting_kinds(SampleKind data) {
  if (data == SampleKind::text) return "rnn, lstm, gpt or layers";
  if (data == SampleKind::table) return "mlp or layers";
  return "mlp, lenet, cnn, resnet, gan or layers";
}

void check_data(const ModelConfig& model, const SampleShape& sample) {
  std::string_view wanted = learns_from(model.kind);
  bool fits = wanted == "any data" || (wanted == "images" && sample.kind == SampleKind::image) ||
              (wanted == "text" && sample.kind == SampleKind::text) ||
              (wanted == "images or tables" && sample.kind != SampleKind::text);
  if (fits) return;
  throw MisfitError("model.kind",
                    fmt::format("\"{}\" learns from {}, but the data set holds {}: choose {}", model.kind,
                                wanted, describe(sample), fitting_kinds(sample.kind)));
}

struct Inputs {
  ValueId data;
  ValueId targets;
};

Inputs add_inputs(Graph& graph, const SampleShape& sample, int64_t batch) {
  if (sample.kind == SampleKind::text) {
    ValueId tokens = graph.add_input("tokens", {DType::int32, {batch, sample.length}});
    return {tokens, graph.add_input("labels", {DType::int32, {batch, sample.length}})};
  }
  ValueId data = sample.kind == SampleKind::table
                     ? graph.add_input("features", {DType::float32, {batch, sample.features}})
                     : graph.add_input(
                           "images", {DType::float32, {batch, sample.height, sample.width, sample.channels}});
  if (sample.classes > 0) return {data, graph.add_input("labels", {DType::int32, {batch}})};
  return {data, graph.add_input("targets", {DType::float32, {batch, sample.targets}})};
}

// The last layer's output must be what the loss compares with the targets.
void check_head(const Graph& graph, ValueId output, const SampleShape& sample, int64_t batch) {
  Shape expected{batch, head_units(sample)};
  if (sample.kind == SampleKind::text) expected = {batch, sample.length, sample.vocabulary};
  if (graph.shape(output) == expected) return;
  throw MisfitError(
      "model.layer",
      fmt::format("the last layer gives {} per batch, but the data set holds {}: end with a linear "
                  "layer of units = {}",
                  graph.shape(output).to_string(), describe(sample), head_units(sample)));
}

void add_loss(NetWriter& net, ValueId output, ValueId targets, const SampleShape& sample,
              double label_smoothing) {
  bool regression = sample.kind == SampleKind::table && sample.classes == 0;
  if (regression && label_smoothing > 0) {
    throw MisfitError("train.label_smoothing",
                      fmt::format("there are no labels to smooth: the data set holds {}", describe(sample)));
  }
  Graph& graph = net.graph();
  graph.value(output).name = regression ? "prediction" : "logits";
  net.end_layers();
  net.at("loss");
  // What is measured is the plain loss, whose exponential is the perplexity.
  double smoothing = net.mode() == GraphMode::training ? label_smoothing : 0.0;
  ValueId loss =
      regression ? net.apply("mean_squared_error", {output, targets})
                 : net.apply("softmax_cross_entropy", {output, targets}, {{"label_smoothing", smoothing}});
  graph.value(loss).name = "loss";
  graph.results = {loss};
  if (net.mode() == GraphMode::training) return;
  if (!regression) {
    ValueId correct = net.apply("top1_correct", {output, targets});
    graph.value(correct).name = "correct";
    graph.results.push_back(correct);
  }
  graph.results.push_back(output);
}

Graph build(const ModelConfig& model, const SampleShape& sample, int64_t batch, GraphMode mode,
            double label_smoothing) {
  if (model.kind == "gan") {
    throw GraphError("a gan has two graphs: build_generator_training and build_discriminator_training");
  }
  check_data(model, sample);
  Graph graph;
  graph.name = fmt::format("{}.{}", model.kind, mode == GraphMode::training ? "training" : "evaluation");
  auto [data, targets] = add_inputs(graph, sample, batch);
  NetWriter net(graph, mode);
  ValueId output = no_id;
  if (model.kind == "resnet") {
    output = write_resnet(net, data, model, sample.classes);
  } else if (model.kind == "gpt") {
    output = write_gpt(net, data, model, sample);
  } else {
    output = write_layers(net, data, expand_layers(model, sample), sample);
  }
  check_head(graph, output, sample, batch);
  add_loss(net, output, targets, sample, label_smoothing);
  return graph;
}

}  // namespace

std::string describe(const SampleShape& sample) {
  if (sample.kind == SampleKind::text) {
    return fmt::format("text of {} distinct tokens", sample.vocabulary);
  }
  if (sample.kind == SampleKind::table) {
    std::string table = fmt::format("a table of {} features", sample.features);
    return sample.classes > 0 ? fmt::format("{} with {} classes", table, sample.classes)
                              : fmt::format("{} with {} values to predict", table, sample.targets);
  }
  return fmt::format("images of {} x {} x {} in {} classes", sample.height, sample.width, sample.channels,
                     sample.classes);
}

int64_t head_units(const SampleShape& sample) {
  if (sample.kind == SampleKind::text) return sample.vocabulary;
  return sample.classes > 0 ? sample.classes : sample.targets;
}

Graph build_model(const ModelConfig& model, const SampleShape& sample, int64_t batch, GraphMode mode,
                  double label_smoothing) {
  try {
    return build(model, sample, batch, mode, label_smoothing);
  } catch (const MisfitError& error) {
    throw ConfigError("{}: {}", error.key, error.what());
  }
}

Graph build_model(const Config& config, const SampleShape& sample, int64_t batch, GraphMode mode) {
  return placing_misfits(
      config, [&] { return build(config.model, sample, batch, mode, config.train.label_smoothing); });
}

}  // namespace trireme
