// Presets and layer lists build the same graph; lists that cannot be a classifier are refused by name.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "graph/op.h"
#include "models/models.h"

namespace trireme {
namespace {

constexpr SampleShape fashion{28, 28, 1, 10};

LayerConfig layer(std::string kind) {
  LayerConfig config;
  config.kind = std::move(kind);
  return config;
}

LayerConfig linear(int64_t units) {
  LayerConfig config = layer("linear");
  config.units = units;
  return config;
}

ModelConfig list(std::vector<LayerConfig> layers) {
  ModelConfig model;
  model.kind = "layers";
  model.layer = std::move(layers);
  return model;
}

std::string refusal(const ModelConfig& model) {
  try {
    build_model(model, fashion, 2, GraphMode::training);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(Classifier, PresetAndListBuildTheSameGraph) {
  for (const char* kind : {"mlp", "lenet", "cnn"}) {
    ModelConfig preset;
    preset.kind = kind;
    preset.dropout = 0.25;
    ModelConfig by_hand = list(expand_layers(preset, fashion));
    for (GraphMode mode : {GraphMode::training, GraphMode::evaluation}) {
      Graph a = build_model(preset, fashion, 8, mode);
      Graph b = build_model(by_hand, fashion, 8, mode);
      b.name = a.name;
      EXPECT_EQ(to_string(a), to_string(b)) << kind;
      verify(a);
    }
  }
}

TEST(Classifier, RecurrentAndGroupNormalisedPresetsAreListsToo) {
  constexpr SampleShape text{.kind = SampleKind::text, .length = 6, .vocabulary = 9};
  for (const char* kind : {"rnn", "lstm", "cnn"}) {
    ModelConfig preset;
    preset.kind = kind;
    preset.norm = "group";
    preset.dropout = 0.25;
    preset.depth = 3;
    const SampleShape& sample = preset.kind == "cnn" ? fashion : text;
    ModelConfig by_hand = list(expand_layers(preset, sample));
    Graph a = build_model(preset, sample, 8, GraphMode::training);
    Graph b = build_model(by_hand, sample, 8, GraphMode::training);
    b.name = a.name;
    EXPECT_EQ(to_string(a), to_string(b)) << kind;
  }
}

TEST(Classifier, LeNetHasItsKnownNumberOfParameters) {
  ModelConfig model;
  model.kind = "lenet";
  Graph graph = build_model(model, fashion, 1, GraphMode::training);
  EXPECT_EQ(count_elements(graph, Role::parameter), 61706);
}

TEST(Classifier, EvaluationHasNoDropoutAndReadsRunningStatistics) {
  ModelConfig model;
  model.kind = "cnn";
  model.dropout = 0.5;
  Graph graph = build_model(model, fashion, 4, GraphMode::evaluation);
  auto has = [&](std::string_view op) {
    return std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& n) { return n.op == op; });
  };
  EXPECT_FALSE(has("dropout"));
  EXPECT_FALSE(has("batch_norm"));
  EXPECT_TRUE(has("batch_norm_inference"));
  EXPECT_TRUE(has("top1_correct"));
}

// Else perplexity, its exponential, would mean something else whenever training smooths.
TEST(Classifier, SmoothedLabelsAreForTrainingAlone) {
  ModelConfig model;
  for (GraphMode mode : {GraphMode::training, GraphMode::evaluation}) {
    Graph graph = build_model(model, fashion, 4, mode, 0.1);
    auto loss = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                             [](const Node& n) { return n.op == "softmax_cross_entropy"; });
    ASSERT_NE(loss, graph.nodes.end());
    EXPECT_EQ(loss->attributes.real("label_smoothing"), mode == GraphMode::training ? 0.1 : 0.0);
  }
}

TEST(Classifier, RefusesALastLayerThatDoesNotFitTheClasses) {
  std::string message = refusal(list({linear(32), linear(9)}));
  EXPECT_NE(message.find("10 classes"), std::string::npos) << message;
}

TEST(Classifier, NamesThePlaceInTheFile) {
  Config config =
      parse_config("[model]\nkind = \"layers\"\n[[model.layer]]\nkind = \"linear\"\nunits = 9\n", "net.toml");
  try {
    build_model(config, fashion, 2, GraphMode::evaluation);
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_EQ(std::string(error.what()).find("net.toml:3:"), 0u) << error.what();
  }
}

TEST(Classifier, NamesTheLayerThatDoesNotFit) {
  LayerConfig big = layer("convolution");
  big.channels = 4;
  big.kernel = 31;
  std::string message = refusal(list({big, linear(10)}));
  EXPECT_NE(message.find("model.layer[0]"), std::string::npos) << message;
  LayerConfig small = layer("convolution");
  small.channels = 4;
  small.kernel = 3;
  message = refusal(list({layer("flatten"), small, linear(10)}));
  EXPECT_NE(message.find("model.layer[1]"), std::string::npos) << message;
}

}  // namespace
}  // namespace trireme
