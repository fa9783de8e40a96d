// Every family learns 32 samples by heart: the loss goes to nearly nothing within a bounded number of steps.
// A net whose gradient is wrong somewhere, or whose parts are wired wrongly, does not.
#include <gtest/gtest.h>

#include "base/rng.h"
#include "models/models.h"
#include "models/trained_net.h"

namespace trireme {
namespace {

using test::TrainedNet;

constexpr int64_t samples = 32;

// Random samples with random targets: nothing but the samples themselves tells the target.
struct Samples {
  explicit Samples(const SampleShape& shape) {
    RandomStream stream(7, Purpose::test);
    if (shape.kind == SampleKind::text) {
      for (int64_t s = 0; s < samples; ++s) {
        // Texts begin with distinct tokens, or nothing could tell the second one.
        auto token = static_cast<int32_t>(s);
        for (int64_t t = 0; t < shape.length; ++t) {
          tokens_.push_back(token);
          token = below(stream, shape.vocabulary);
          labels_.push_back(token);
        }
      }
      return;
    }
    int64_t values = shape.features + shape.height * shape.width * shape.channels;
    for (int64_t i = 0; i < samples * values; ++i) features_.push_back(static_cast<float>(stream.normal()));
    for (int64_t i = 0; i < samples; ++i) {
      if (shape.classes > 0) labels_.push_back(below(stream, shape.classes));
    }
    for (int64_t i = 0; i < samples * shape.targets; ++i) {
      targets_.push_back(static_cast<float>(stream.normal()));
    }
  }
  std::vector<const void*> inputs() const {
    const void* data = tokens_.empty() ? static_cast<const void*>(features_.data()) : tokens_.data();
    return {data, targets_.empty() ? static_cast<const void*>(labels_.data()) : targets_.data()};
  }

 private:
  static int32_t below(RandomStream& stream, int64_t limit) {
    return static_cast<int32_t>(stream.below(static_cast<uint32_t>(limit)));
  }
  std::vector<float> features_;
  std::vector<float> targets_;
  std::vector<int32_t> tokens_;
  std::vector<int32_t> labels_;
};

// The loss after `steps` steps of Adam with a rate that falls to nothing.
double learned_loss(const ModelConfig& model, const SampleShape& shape, int steps, double rate) {
  auto backend = make_cpu_backend({1});
  TrainedNet net(build_model(model, shape, samples, GraphMode::training), *backend);
  Samples data(shape);
  net.step(data.inputs(), samples, 0);
  double first = net.statistic("loss");
  for (int i = 0; i < steps; ++i) {
    net.step(data.inputs(), samples, rate * (1 - static_cast<double>(i) / steps));
  }
  EXPECT_GT(first, 0.5);
  return net.statistic("loss");
}

ModelConfig model_of(const std::string& kind) {
  ModelConfig model;
  model.kind = kind;
  model.channels = {8, 16};
  model.dense = 32;
  return model;
}

constexpr SampleShape small_images{12, 12, 2, 5};
constexpr SampleShape small_text{.kind = SampleKind::text, .length = 10, .vocabulary = 40};

TEST(Overfit, Mlp) { EXPECT_LT(learned_loss(model_of("mlp"), small_images, 60, 1e-2), 0.01); }

TEST(Overfit, LeNet) { EXPECT_LT(learned_loss(model_of("lenet"), {28, 28, 1, 5}, 80, 5e-3), 0.01); }

TEST(Overfit, Cnn) {
  ModelConfig model = model_of("cnn");
  EXPECT_LT(learned_loss(model, small_images, 60, 5e-3), 0.01);
}

TEST(Overfit, ResNet) {
  ModelConfig model = model_of("resnet");
  model.width = 8;
  EXPECT_LT(learned_loss(model, small_images, 60, 5e-3), 0.01);
}

TEST(Overfit, ClassesOfATable) {
  SampleShape table{.classes = 3, .kind = SampleKind::table, .features = 10};
  EXPECT_LT(learned_loss(model_of("mlp"), table, 200, 2e-2), 0.01);
}

TEST(Overfit, ResNetWithGroupNorm) {
  ModelConfig model = model_of("resnet");
  model.width = 8;
  model.norm = "group";
  EXPECT_LT(learned_loss(model, small_images, 100, 5e-3), 0.01);
}

TEST(Overfit, CnnWithGroupNorm) {
  ModelConfig model = model_of("cnn");
  model.norm = "group";
  EXPECT_LT(learned_loss(model, small_images, 60, 5e-3), 0.01);
}

TEST(Overfit, NumbersOfATable) {
  SampleShape table{.kind = SampleKind::table, .features = 10, .targets = 3};
  EXPECT_LT(learned_loss(model_of("mlp"), table, 200, 2e-2), 0.01);
}

TEST(Overfit, Rnn) {
  ModelConfig model = model_of("rnn");
  model.units = 48;
  EXPECT_LT(learned_loss(model, small_text, 200, 5e-3), 0.05);
}

TEST(Overfit, Lstm) {
  ModelConfig model = model_of("lstm");
  model.units = 32;
  EXPECT_LT(learned_loss(model, small_text, 200, 1e-2), 0.05);
}

TEST(Overfit, Gpt) {
  ModelConfig model = model_of("gpt");
  model.depth = 2;
  model.width = 32;
  EXPECT_LT(learned_loss(model, small_text, 200, 5e-3), 0.05);
}

TEST(Overfit, GptWithAHeadOfItsOwn) {
  ModelConfig model = model_of("gpt");
  model.depth = 2;
  model.width = 32;
  model.tied = false;
  EXPECT_LT(learned_loss(model, small_text, 200, 5e-3), 0.05);
}

LayerConfig layer(const std::string& kind) {
  LayerConfig config;
  config.kind = kind;
  return config;
}

// Every layer that a text can go through, in one list.
TEST(Overfit, ListOfLayersForText) {
  ModelConfig model = model_of("layers");
  for (std::string kind : {"embedding", "layer_norm", "attention", "gelu", "lstm", "layer_norm", "linear"}) {
    model.layer.push_back(layer(kind));
  }
  model.layer[0].units = 32;
  model.layer[0].positions = true;
  model.layer[2].heads = 2;
  model.layer[4].units = 32;
  model.layer[6].units = 40;
  EXPECT_LT(learned_loss(model, small_text, 200, 1e-2), 0.05);
}

// The layers for images that no preset has.
TEST(Overfit, ListOfLayersForImages) {
  ModelConfig model = model_of("layers");
  for (std::string kind :
       {"convolution", "group_norm", "leaky_relu", "transposed_convolution", "gelu", "linear"}) {
    model.layer.push_back(layer(kind));
  }
  model.layer[0].channels = 8;
  model.layer[0].kernel = 3;
  model.layer[0].stride = 2;
  model.layer[0].padding = 1;
  model.layer[1].groups = 4;
  model.layer[3].channels = 4;
  model.layer[3].kernel = 4;
  model.layer[3].stride = 2;
  model.layer[3].padding = 1;
  model.layer[5].units = 5;
  EXPECT_LT(learned_loss(model, small_images, 60, 1e-2), 0.01);
}

}  // namespace
}  // namespace trireme
