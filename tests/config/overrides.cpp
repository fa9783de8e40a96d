// --set goes before the file.
#include <gtest/gtest.h>

#include "base/error.h"
#include "config/config.h"

namespace trireme {
namespace {

const char* const layers =
    "[model]\nkind = \"layers\"\n[[model.layer]]\nkind = \"dropout\"\nrate = 0.2\n[[model.layer]]\nkind = "
    "\"linear\"\nunits = 4\n";

Config with(const std::string& text, const std::vector<std::string>& overrides) {
  return parse_config(text, "x.toml", overrides);
}

TEST(Overrides, ReplaceAndAdd) {
  Config config =
      with("[train]\nepochs = 2\n", {"train.epochs=3", "train.steps=9", "optimizer.learning_rate=1e-3",
                                     "data.shuffle=false", "data.transform.horizontal_flip=true"});
  EXPECT_EQ(config.train.epochs, 3);
  EXPECT_EQ(config.train.steps, 9);
  EXPECT_EQ(config.optimizer.learning_rate, 1e-3);
  EXPECT_FALSE(config.data.shuffle);
  EXPECT_TRUE(config.data.transform.horizontal_flip);
}

TEST(Overrides, TheLastOneWins) { EXPECT_EQ(with("", {"run.seed=3", "run.seed=4"}).run.seed, 4); }

TEST(Overrides, BareWordsAreTexts) {
  Config config = with(
      "", {"model.kind=cnn", "model.channels=[16, 8]", "data.train=data/some.h5", "run.name=\"quoted\""});
  EXPECT_EQ(config.model.kind, "cnn");
  EXPECT_EQ(config.model.channels, (std::vector<int64_t>{16, 8}));
  EXPECT_EQ(config.data.train, "data/some.h5");
  EXPECT_EQ(config.run.name, "quoted");
}

TEST(Overrides, ATextTakesWhatLooksLikeANumber) {
  EXPECT_EQ(with("", {"run.name=007"}).run.name, "007");
  EXPECT_EQ(with("", {"run.name=3"}).run.name, "3");
  EXPECT_EQ(with("", {"run.name=true"}).run.name, "true");
  EXPECT_EQ(with("", {"run.name=2024-01-01"}).run.name, "2024-01-01");
  EXPECT_EQ(with("[data]\nvalidation = \"x\"\n", {"data.validation="}).data.validation, "");
  EXPECT_EQ(with("", {"data.train=a=b c#d.h5"}).data.train, "a=b c#d.h5");
}

TEST(Overrides, ReachIntoLayersAndLists) {
  Config config =
      with(layers, {"model.layer[0].rate=0.5", "model.layer[1].units=8", "model.layer[1].bias=false"});
  EXPECT_EQ(config.model.layer[0].rate, 0.5);
  EXPECT_EQ(config.model.layer[1].units, 8);
  EXPECT_FALSE(config.model.layer[1].bias);
  EXPECT_EQ(with("[model]\nhidden = [3, 4]\n", {"model.hidden[1]=5"}).model.hidden,
            (std::vector<int64_t>{3, 5}));
}

TEST(Overrides, AnotherKindPassesOverTheOldOnesKeys) {
  const char* sgd = "[optimizer]\nkind = \"sgd\"\nmomentum = 0.5\nnesterov = true\nlearning_rate = 0.3\n";
  Config config = with(sgd, {"optimizer.kind=adamw", "optimizer.beta1=0.8"});
  EXPECT_EQ(config.optimizer.kind, "adamw");
  EXPECT_EQ(config.optimizer.learning_rate, 0.3);
  EXPECT_EQ(config.optimizer.beta1, 0.8);
  EXPECT_EQ(config.optimizer.momentum, OptimizerConfig{}.momentum);
  EXPECT_THROW(with(sgd, {"optimizer.kind=adamw", "optimizer.momentum=0.8"}), ConfigError);

  config = with(layers, {"model.kind=mlp"});
  EXPECT_TRUE(config.model.layer.empty());
  EXPECT_THROW(with(layers, {"model.kind=mlp", "model.layer[1].units=3"}), ConfigError);
  EXPECT_EQ(with(layers, {"model.layer[0].kind=tanh"}).model.layer[0].rate, LayerConfig{}.rate);
}

TEST(Overrides, AnotherModelPassesOverTheOldOnesKeysAndTables) {
  const char* gan = "[model]\nkind = \"gan\"\n[optimizer.discriminator]\nkind = \"sgd\"\nmomentum = 0.5\n";
  EXPECT_EQ(with(gan, {}).discriminator_optimizer.momentum, 0.5);
  EXPECT_EQ(with(gan, {"model.kind=cnn"}).discriminator_optimizer, Config{}.discriminator_optimizer);
  EXPECT_THROW(with(gan, {"model.kind=cnn", "optimizer.discriminator.momentum=0.1"}), ConfigError);
  const char* gpt = "[data]\nsequence_length = 9\n[model]\nkind = \"gpt\"\n";
  EXPECT_EQ(with(gpt, {}).data.sequence_length, 9);
  EXPECT_EQ(with(gpt, {"model.kind=mlp"}).data.sequence_length, DataConfig{}.sequence_length);
}

TEST(Overrides, MayComeBeforeTheirKind) {
  EXPECT_EQ(with("", {"optimizer.beta1=0.7", "optimizer.kind=adamw"}).optimizer.beta1, 0.7);
}

}  // namespace
}  // namespace trireme
