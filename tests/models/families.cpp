// Every family builds, verifies, and has the number of parameters that its papers or a sum by hand give; data
// that a family cannot learn from are refused by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "graph/op.h"
#include "models/models.h"

namespace trireme {
namespace {

constexpr SampleShape images(int64_t side, int64_t channels, int64_t classes) {
  return {side, side, channels, classes};
}
constexpr SampleShape text{.kind = SampleKind::text, .length = 128, .vocabulary = 65};
constexpr SampleShape house_prices{.kind = SampleKind::table, .features = 13, .targets = 1};
constexpr SampleShape flowers{.classes = 3, .kind = SampleKind::table, .features = 4};

ModelConfig model_of(const std::string& kind) {
  ModelConfig model;
  model.kind = kind;
  return model;
}

int64_t parameters(const ModelConfig& model, const SampleShape& sample) {
  Graph training = build_model(model, sample, 2, GraphMode::training);
  Graph evaluation = build_model(model, sample, 3, GraphMode::evaluation);
  verify(training);
  verify(evaluation);
  EXPECT_EQ(count_elements(training, Role::parameter), count_elements(evaluation, Role::parameter));
  return count_elements(training, Role::parameter);
}

TEST(Families, ResNetsHaveTheirKnownNumbersOfParameters) {
  ModelConfig model = model_of("resnet");
  EXPECT_EQ(parameters(model, images(32, 3, 10)),
            11173962);  // with the small stem, as commonly trained on CIFAR-10
  model.stem = "imagenet";
  EXPECT_EQ(parameters(model, images(224, 3, 1000)), 11689512);  // torchvision's resnet18
  model.norm = "group";
  EXPECT_EQ(parameters(model, images(224, 3, 1000)), 11689512);
  model.depth = 34;
  EXPECT_EQ(parameters(model, images(224, 3, 1000)), 21797672);  // torchvision's resnet34
}

TEST(Families, ResNetHalvesThreeTimesOnTheSmallStemAndFiveOnTheLarge) {
  for (std::string stem : {"cifar", "imagenet"}) {
    ModelConfig model = model_of("resnet");
    model.stem = stem;
    Graph graph = build_model(model, images(32, 1, 10), 1, GraphMode::evaluation);
    auto pool = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                             [](const Node& node) { return node.op == "global_average_pool"; });
    ASSERT_NE(pool, graph.nodes.end());
    int64_t side = stem == "cifar" ? 4 : 1;
    EXPECT_EQ(graph.shape(pool->inputs[0]), (Shape{1, side, side, 512}));
  }
}

TEST(Families, GptHasTheNumberOfParametersThatItsPartsSumUpTo) {
  ModelConfig model = model_of("gpt");
  int64_t tokens = 65 * 128, positions = 128 * 128, norm = 2 * 128;
  int64_t attention = 128 * 384 + 384 + 128 * 128 + 128;
  int64_t perceptron = 128 * 512 + 512 + 512 * 128 + 128;
  int64_t tied = tokens + positions + 4 * (2 * norm + attention + perceptron) + norm;
  EXPECT_EQ(parameters(model, text), tied);
  model.tied = false;
  EXPECT_EQ(parameters(model, text), tied + tokens);
}

TEST(Families, RecurrentNetsHaveTheNumbersOfParametersThatTheirPartsSumUpTo) {
  int64_t embedding = 65 * 256, head = 256 * 65 + 65, layer = 256 * 256 + 256 * 256 + 256;
  EXPECT_EQ(parameters(model_of("rnn"), text), embedding + 2 * layer + head);
  EXPECT_EQ(parameters(model_of("lstm"), text), embedding + 2 * 4 * layer + head);
  ModelConfig narrow = model_of("lstm");
  narrow.embedding = 64;
  narrow.depth = 1;
  EXPECT_EQ(parameters(narrow, text), 65 * 64 + 4 * (64 * 256 + 256 * 256 + 256) + head);
}

TEST(Families, TablesAreClassifiedOrRegressed) {
  EXPECT_EQ(parameters(model_of("mlp"), house_prices), 13 * 128 + 128 + 128 * 1 + 1);
  EXPECT_EQ(parameters(model_of("mlp"), flowers), 4 * 128 + 128 + 128 * 3 + 3);
  auto results = [](const SampleShape& sample) {
    Graph graph = build_model(model_of("mlp"), sample, 2, GraphMode::evaluation);
    std::vector<std::string> names;
    for (ValueId input : graph.inputs) names.push_back(graph.value(input).name);
    for (ValueId result : graph.results) names.push_back(graph.value(result).name);
    return names;
  };
  EXPECT_EQ(results(house_prices), (std::vector<std::string>{"features", "targets", "loss", "prediction"}));
  EXPECT_EQ(results(flowers), (std::vector<std::string>{"features", "labels", "loss", "correct", "logits"}));
}

// A number for each layer or block, counted from the input on without gaps; losses and metrics have none.
TEST(Families, EveryNodeBelongsToALayer) {
  std::map<std::string, int> layers{{"mlp", 2},     {"lenet", 5}, {"cnn", 4},
                                    {"resnet", 10}, {"rnn", 4},   {"gpt", 6}};
  for (const auto& [kind, count] : layers) {
    bool reads = kind == "rnn" || kind == "gpt";
    Graph graph = build_model(model_of(kind), reads ? text : images(28, 1, 10), 2, GraphMode::training);
    int last = 0;
    for (const Node& node : graph.nodes) {
      if (node.origin == "loss") {
        EXPECT_EQ(node.layer, -1) << kind;
        continue;
      }
      EXPECT_TRUE(node.layer == last || node.layer == last + 1)
          << kind << " " << node.origin << " " << node.layer;
      last = node.layer;
    }
    EXPECT_EQ(last + 1, count) << kind;
  }
}

// Streams of draws must differ, or two dropouts would drop the same places.
TEST(Families, EveryDropoutHasAStreamOfItsOwn) {
  ModelConfig model = model_of("gpt");
  model.dropout = 0.1;
  Graph graph = build_model(model, text, 2, GraphMode::training);
  std::vector<int64_t> streams;
  for (const Node& node : graph.nodes) {
    if (node.op == "dropout" || node.op == "attention") streams.push_back(node.attributes.integer("layer"));
    if (node.op == "attention") {
      EXPECT_EQ(node.attributes.real("rate"), 0.1);
    }
  }
  EXPECT_EQ(streams.size(), 1u + 4 * 3);
  std::sort(streams.begin(), streams.end());
  EXPECT_EQ(std::adjacent_find(streams.begin(), streams.end()), streams.end());
  for (const Node& node : build_model(model, text, 2, GraphMode::evaluation).nodes) {
    EXPECT_NE(node.op, "dropout");
    if (node.op == "attention") {
      EXPECT_EQ(node.attributes.real("rate"), 0.0);
    }
  }
}

std::string refusal(const Config& config, const SampleShape& sample) {
  try {
    build_model(config, sample, 2, GraphMode::training);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Families, RefuseDataOfAnotherKind) {
  for (std::string kind : {"mlp", "lenet", "cnn", "resnet", "rnn", "lstm", "gpt"}) {
    Config config = parse_config("[model]\nkind = \"" + kind + "\"\n", "net.toml");
    bool reads = kind == "rnn" || kind == "lstm" || kind == "gpt";
    std::string message = refusal(config, reads ? images(28, 1, 10) : text);
    EXPECT_EQ(message.find("net.toml:2:"), 0u) << message;
    EXPECT_NE(message.find("model.kind"), std::string::npos) << message;
    EXPECT_NE(message.find(reads ? "holds images of 28 x 28 x 1" : "holds text"), std::string::npos)
        << message;
    if (kind != "mlp") {
      EXPECT_NE(refusal(config, flowers).find("holds a table of 4 features"), std::string::npos) << kind;
    }
  }
}

TEST(Families, RefuseWhatDoesNotFit) {
  auto refused = [](const std::string& lines, const SampleShape& sample, const std::string& part) {
    std::string message = refusal(parse_config(lines, "net.toml"), sample);
    EXPECT_EQ(message.find("net.toml:"), 0u) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  refused("[model]\nkind = \"resnet\"\ndepth = 50\n", images(32, 3, 10), "model.depth");
  refused("[model]\nkind = \"gpt\"\nheads = 3\n", text, "model.heads");
  refused("[train]\nlabel_smoothing = 0.1\n", house_prices, "train.label_smoothing");
  std::string layers = "[model]\nkind = \"layers\"\n[[model.layer]]\nkind = ";
  refused(layers + "\"embedding\"\nunits = 8\n", images(28, 1, 10), "model.layer[0]");
  refused(layers + "\"lstm\"\nunits = 8\n", text, "model.layer[0]");
  refused(layers + "\"embedding\"\nunits = 8\n", text, "units = 65");
}

}  // namespace
}  // namespace trireme
