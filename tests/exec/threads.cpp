// What the number of compute threads does to the bits of gradients: nothing as long as it stays the same,
// which is all that parallel.virtual_ranks builds on. Between different numbers some of the library's sums
// are cut differently; the test prints which tensors show it here.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <iostream>

#include "support/model_fixture.h"

namespace trireme {
namespace {

using namespace test;

constexpr int64_t samples = 16;

// Linear layers; convolutions; these with batch norm; attention; recurrences.
class Threads : public testing::TestWithParam<std::string> {
 protected:
  Threads() {
    model_ = preset(GetParam());
    model_.channels = {16, 32};
    model_.hidden = {128, 64};
    bool text = GetParam() == "gpt" || GetParam() == "lstm" || GetParam() == "rnn";
    if (text) {
      model_.depth = 2;
      model_.width = model_.units = 64;
      model_.heads = 4;
      sample_.kind = SampleKind::text;
      sample_.length = 48;
      sample_.vocabulary = 19;
    }
    RandomStream stream(7, Purpose::test);
    for (int64_t i = 0; i < samples * 28 * 28; ++i) images_.push_back(stream.normal());
    for (int64_t i = 0; i < samples * 48; ++i) {
      tokens_.push_back(static_cast<int32_t>(stream.below(19)));
      labels_.push_back(static_cast<int32_t>(stream.below(10)));
    }
    inputs_ = {text ? static_cast<const void*>(tokens_.data()) : images_.data(), labels_.data()};
  }

  Graph graph() const { return build_model(model_, sample_, samples, GraphMode::training, 0.0); }
  // With the statistics behind them: the loss too.
  std::vector<float> gradients(int threads) const {
    Trainer<float> trainer(graph(), make_cpu_backend({threads}), 3);
    trainer.backend->parameters_changed();
    trainer.executor.step(inputs_, {1, 0, 0, 1.0 / samples});
    return trainer.gradients();
  }

  SampleShape sample_{28, 28, 1, 10};
  ModelConfig model_;
  std::vector<float> images_;
  std::vector<int32_t> tokens_, labels_;
  std::array<const void*, 2> inputs_;
};
INSTANTIATE_TEST_SUITE_P(Models, Threads, testing::Values("mlp", "lenet", "cnn", "gpt", "lstm", "rnn"));

TEST_P(Threads, the_same_number_gives_the_same_bits) {
  ArenaLayout layout = compile_training(graph(), {}).layout;
  std::vector<float> one = gradients(1);
  EXPECT_TRUE(same_bits(one, gradients(1)));
  for (int threads : {2, 3}) {
    std::vector<float> some = gradients(threads);
    EXPECT_TRUE(same_bits(some, gradients(threads))) << threads << " threads";
    EXPECT_LT(relative_difference(some, one), 1e-5) << threads << " threads";
    std::string differing;
    for (const ArenaTensor& tensor : layout.parameters) {
      if (std::memcmp(&some[tensor.offset], &one[tensor.offset], tensor.size() * sizeof(float)) != 0) {
        differing += " " + tensor.name;
      }
    }
    std::cout << fmt::format("{}: gradients whose last bits are not the same on {} threads as on 1:{}\n",
                             GetParam(), threads, differing.empty() ? " none" : differing);
  }
}

}  // namespace
}  // namespace trireme
