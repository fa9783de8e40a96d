// Every family under the passes that are chosen by key: 16-bit activations come near float32, recomputing
// changes no bit, and both together work.
#include <gtest/gtest.h>

#include <cstring>

#include "base/rng.h"
#include "models/models.h"
#include "models/trained_net.h"

namespace trireme {
namespace {

using test::TrainedNet;

constexpr int64_t batch = 8;

CompileOptions options_of(DType precision, Recompute recompute = Recompute::none) {
  CompileOptions options;
  options.precision = precision;
  options.recompute = recompute;
  return options;
}

class EveryFamily : public testing::TestWithParam<std::string> {
 protected:
  EveryFamily() {
    RandomStream stream(7, Purpose::test);
    for (float& value : values_) value = static_cast<float>(stream.normal());
    for (int32_t& value : tokens_) value = static_cast<int32_t>(stream.below(10));
    for (int32_t& value : labels_) value = static_cast<int32_t>(stream.below(10));
  }

  Graph graph() const {
    Config config;
    config.data.transform.normalize = false;
    ModelConfig& model = config.model;
    model.kind = GetParam();
    if (GetParam() == "regression") model.kind = "mlp";
    model.hidden = {16, 16};
    model.channels = {8, 8};
    model.width = 8;
    model.heads = 2;
    model.units = 16;
    model.dropout = 0.1;
    constexpr SampleShape images{12, 12, 1, 10}, lenet_images{28, 28, 1, 10};
    constexpr SampleShape text{.kind = SampleKind::text, .length = 9, .vocabulary = 10};
    constexpr SampleShape table{.kind = SampleKind::table, .features = 13, .targets = 2};
    if (model.kind == "gan") return build_discriminator_training(config, images, batch);
    const SampleShape& sample = GetParam() == "regression" ? table
                                : model.kind == "lenet"    ? lenet_images
                                : model.kind == "mlp" || model.kind == "cnn" || model.kind == "resnet"
                                    ? images
                                    : text;
    return build_model(config, sample, batch, GraphMode::training);
  }

  std::vector<const void*> inputs(const Graph& given) const {
    std::vector<const void*> addresses;
    for (ValueId id : given.inputs) {
      const Value& value = given.value(id);
      if (value.type.dtype == DType::float32) {
        addresses.push_back(values_.data() + (addresses.empty() ? 0 : 100));
      } else {
        addresses.push_back(value.name == "tokens" ? tokens_.data() : labels_.data());
      }
    }
    return addresses;
  }

  // The losses' sums of four steps, and the last gradients.
  struct Course {
    std::vector<double> losses;
    std::vector<float> gradients;
  };
  Course course(const CompileOptions& options) const {
    auto backend = make_cpu_backend({1});
    Graph forward = graph();
    TrainedNet net(forward, *backend, nullptr, options);
    Course result;
    for (int step = 0; step < 4; ++step) {
      net.step(inputs(forward), batch, 2e-3);
      double sum = 0;
      for (ValueId id : forward.results) {
        const Value& value = forward.value(id);
        if (value.role == Role::statistic) sum += net.statistic(value.name);
      }
      result.losses.push_back(sum);
    }
    auto all = net.arenas().gradients.span<const float>();
    result.gradients.assign(all.begin(), all.end());
    return result;
  }

 private:
  std::vector<float> values_ = std::vector<float>(batch * 28 * 28 + 100);
  std::vector<int32_t> tokens_ = std::vector<int32_t>(batch * 9);
  std::vector<int32_t> labels_ = std::vector<int32_t>(batch * 9);
};
INSTANTIATE_TEST_SUITE_P(Families, EveryFamily,
                         testing::Values("mlp", "regression", "lenet", "cnn", "resnet", "rnn", "lstm", "gpt",
                                         "gan"),
                         [](const auto& family) { return family.param; });

TEST_P(EveryFamily, LearnsInBFloat16AsInFloat32) {
  Course wide = course({}), narrow = course(options_of(DType::bfloat16));
  EXPECT_NE(wide.losses, narrow.losses);
  for (size_t i = 0; i < wide.losses.size(); ++i) {
    EXPECT_NEAR(narrow.losses[i], wide.losses[i], 0.03 * wide.losses[i]) << "step " << i;
  }
}

TEST_P(EveryFamily, RecomputesToTheSameBits) {
  for (DType precision : {DType::float32, DType::bfloat16}) {
    Course kept = course(options_of(precision));
    for (Recompute recompute : {Recompute::layer, Recompute::sqrt}) {
      Course made_again = course(options_of(precision, recompute));
      EXPECT_EQ(kept.losses, made_again.losses);
      EXPECT_EQ(std::memcmp(kept.gradients.data(), made_again.gradients.data(),
                            kept.gradients.size() * sizeof(float)),
                0);
    }
  }
}

}  // namespace
}  // namespace trireme
