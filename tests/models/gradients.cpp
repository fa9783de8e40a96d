// Whole families in float64 against central differences, dropout included: what the ops' own tests cannot see
// is how gradients add up where a net branches or reads a parameter twice.
#include <gtest/gtest.h>

#include "support/model_fixture.h"

namespace trireme {
namespace {

using namespace test;

constexpr int64_t batch = 3;

// Differences of `losses` (their sum) by some elements of every parameter.
void expect_finite_differences(Graph graph, const std::vector<const void*>& inputs,
                               const std::vector<std::string>& losses) {
  to_float64(graph);
  Trainer<double> trainer(graph, make_reference_backend(), 3);
  // Zeros at the start (the last gammas of a resnet's blocks, biases) would hide what comes behind them.
  auto parameters = trainer.arenas.parameters.span<double>();
  RandomStream shake(9, Purpose::test);
  for (double& value : parameters) value += 0.05 * shake.normal();
  auto loss = [&] {
    trainer.executor.step(inputs, {1, 0, 0, 1.0 / batch});
    double sum = 0;
    for (const std::string& name : losses) {
      sum += trainer.arenas.gradients.as<double>()[trainer.arenas.layout.statistic(name).offset];
    }
    return sum;
  };
  loss();
  std::vector<double> gradients = trainer.gradients();
  const double h = 1e-6;
  RandomStream stream(5, Purpose::test);
  for (const ArenaTensor& tensor : trainer.arenas.layout.parameters) {
    for (int probe = 0; probe < 3; ++probe) {
      size_t i = tensor.offset + stream.below(static_cast<uint32_t>(tensor.size()));
      double start = parameters[i];
      parameters[i] = start + h;
      double above = loss();
      parameters[i] = start - h;
      double below = loss();
      parameters[i] = start;
      EXPECT_NEAR((above - below) / (2 * h), gradients[i], 1e-7 + 1e-5 * std::abs(gradients[i]))
          << tensor.name << "[" << i - tensor.offset << "]";
    }
  }
}

ModelConfig small_model(const std::string& kind) {
  ModelConfig model;
  model.kind = kind;
  model.hidden = {5};
  model.width = 4;
  model.heads = 2;
  model.depth = kind == "resnet" ? 18 : 2;
  model.units = 5;
  model.dropout = 0.2;
  return model;
}

void check_images(const ModelConfig& model) {
  SampleShape sample{8, 8, 2, 4};
  BatchOf<double> data = random_batch<double>(batch, sample, 7);
  expect_finite_differences(build_model(model, sample, batch, GraphMode::training, 0.1),
                            {data.images.data(), data.labels.data()}, {"loss"});
}

void check_text(const ModelConfig& model) {
  constexpr SampleShape sample{.kind = SampleKind::text, .length = 6, .vocabulary = 7};
  std::vector<int32_t> tokens, labels;
  RandomStream stream(7, Purpose::test);
  for (int64_t i = 0; i < batch * sample.length; ++i) {
    tokens.push_back(static_cast<int32_t>(stream.below(7)));
    labels.push_back(static_cast<int32_t>(stream.below(7)));
  }
  expect_finite_differences(build_model(model, sample, batch, GraphMode::training, 0.1),
                            {tokens.data(), labels.data()}, {"loss"});
}

TEST(FamilyGradients, ResNet) { check_images(small_model("resnet")); }

TEST(FamilyGradients, ResNetWithGroupNorm) {
  ModelConfig model = small_model("resnet");
  model.norm = "group";
  check_images(model);
}

TEST(FamilyGradients, Rnn) { check_text(small_model("rnn")); }

TEST(FamilyGradients, Lstm) { check_text(small_model("lstm")); }

// The tied head reads the embedding's weight: its gradient is a sum.
TEST(FamilyGradients, Gpt) { check_text(small_model("gpt")); }

TEST(FamilyGradients, GptWithAHeadOfItsOwn) {
  ModelConfig model = small_model("gpt");
  model.tied = false;
  check_text(model);
}

TEST(FamilyGradients, Regression) {
  constexpr SampleShape sample{.kind = SampleKind::table, .features = 6, .targets = 2};
  std::vector<double> features, targets;
  RandomStream stream(7, Purpose::test);
  for (int64_t i = 0; i < batch * sample.features; ++i) features.push_back(stream.normal());
  for (int64_t i = 0; i < batch * sample.targets; ++i) targets.push_back(stream.normal());
  expect_finite_differences(build_model(small_model("mlp"), sample, batch, GraphMode::training),
                            {features.data(), targets.data()}, {"loss"});
}

// Applied to real images and to fakes, it has one set of parameters and two losses.
TEST(FamilyGradients, Discriminator) {
  Config config;
  config.model = small_model("gan");
  config.data.transform.normalize = false;
  SampleShape sample{12, 12, 1, 2};
  BatchOf<double> images = random_batch<double>(batch, sample, 7),
                  fakes = random_batch<double>(batch, sample, 8);
  expect_finite_differences(build_discriminator_training(config, sample, batch),
                            {images.images.data(), fakes.images.data()}, {"loss_real", "loss_fake"});
}

}  // namespace
}  // namespace trireme
