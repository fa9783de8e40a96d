// The gan's three graphs: shapes, names, who owns which parameters, and that the two nets trained in
// alternation make images like the data.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/rng.h"
#include "graph/op.h"
#include "models/models.h"
#include "models/trained_net.h"

namespace trireme {
namespace {

using test::TrainedNet;

constexpr SampleShape fashion{28, 28, 1, 10};

Config gan(const std::string& more = "") {
  return parse_config("[data.transform]\nnormalize = false\n[model]\nkind = \"gan\"\n" + more, "gan.toml");
}

std::vector<std::string> names(const Graph& graph, Role role) {
  std::vector<std::string> found;
  for (const Value& value : graph.values) {
    if (value.role == role) found.push_back(value.name);
  }
  std::sort(found.begin(), found.end());
  return found;
}

TEST(Gan, NetsHaveTheNumbersOfParametersThatTheirPartsSumUpTo) {
  // 28 -> 14 -> 7: two halvings, 128 channels at the smallest.
  int64_t generator = 100 * 7 * 7 * 128 + 2 * 128 + 4 * 4 * 64 * 128 + 2 * 64 + 4 * 4 * 1 * 64 + 1;
  int64_t discriminator = 4 * 4 * 1 * 64 + 64 + 4 * 4 * 64 * 128 + 2 * 128 + 7 * 7 * 128 + 1;
  Graph g = build_generator_training(gan(), fashion, 4);
  Graph d = build_discriminator_training(gan(), fashion, 4);
  verify(g);
  verify(d);
  verify(build_generator(gan(), fashion, 4));
  EXPECT_EQ(count_elements(g, Role::parameter), generator);
  EXPECT_EQ(count_elements(g, Role::frozen), discriminator);
  EXPECT_EQ(count_elements(d, Role::parameter), discriminator);
  EXPECT_EQ(names(g, Role::frozen), names(d, Role::parameter));
  EXPECT_EQ(names(g, Role::parameter), names(build_generator(gan(), fashion, 1), Role::parameter));
}

TEST(Gan, SidesAreHalvedDownToFourOrToAnOddNumber) {
  for (auto [side, smallest] : {std::pair{8, 4}, {12, 3}, {28, 7}, {32, 4}, {64, 4}}) {
    Graph graph = build_generator(gan(), {side, side, 3, 0}, 2);
    auto unflatten = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                  [](const Node& node) { return node.op == "unflatten"; });
    ASSERT_NE(unflatten, graph.nodes.end());
    EXPECT_EQ(graph.shape(unflatten->outputs[0])[1], smallest);
    EXPECT_EQ(graph.shape(graph.results[0]), (Shape{2, side, side, 3}));
  }
}

TEST(Gan, RefusesOtherImagesAndNormalisedOnes) {
  auto refusal = [](const Config& config, const SampleShape& sample) -> std::string {
    try {
      build_discriminator_training(config, sample, 2);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  constexpr SampleShape text{.kind = SampleKind::text, .length = 8, .vocabulary = 9};
  EXPECT_EQ(refusal(gan(), text).find("gan.toml:4:"), 0u) << refusal(gan(), text);
  EXPECT_NE(refusal(gan(), text).find("holds text"), std::string::npos);
  EXPECT_NE(refusal(gan(), {28, 24, 1, 10}).find("28 x 24"), std::string::npos);
  EXPECT_NE(refusal(gan(), {30, 30, 1, 10}).find("30 x 30"), std::string::npos);
  Config normalised =
      parse_config("[data.transform]\nnormalize = true\n[model]\nkind = \"gan\"\n", "gan.toml");
  EXPECT_EQ(refusal(normalised, fashion).find("gan.toml:2:"), 0u) << refusal(normalised, fashion);
}

// Two kinds of images, bright above or bright on the left, each with a little noise: their mean is no image
// of the kind, so a generator must make both to come near it.
constexpr int64_t side = 16, batch = 32;

void draw_real(RandomStream& stream, std::vector<float>& images) {
  for (int64_t s = 0; s < batch; ++s) {
    bool above = stream.below(2) == 0;
    for (int64_t y = 0; y < side; ++y) {
      for (int64_t x = 0; x < side; ++x) {
        bool bright = above ? y < side / 2 : x < side / 2;
        images[static_cast<size_t>((s * side + y) * side + x)] =
            (bright ? 0.85f : 0.15f) + 0.03f * static_cast<float>(stream.normal());
      }
    }
  }
}

// Root mean square distance of the fakes' mean image from the data's, in the range [-1, 1].
double distance_of_means(const float* fakes) {
  double sum = 0;
  for (int64_t y = 0; y < side; ++y) {
    for (int64_t x = 0; x < side; ++x) {
      double mean = 0;
      for (int64_t s = 0; s < batch; ++s)
        mean += static_cast<double>(fakes[(s * side + y) * side + x]) / batch;
      double expected = 0.35 * ((y < side / 2 ? 1 : -1) + (x < side / 2 ? 1 : -1));
      sum += (mean - expected) * (mean - expected);
    }
  }
  return std::sqrt(sum / (side * side));
}

TEST(Gan, TrainedInAlternationItsMeanImageComesNearTheDatas) {
  Config config = gan("latent = 8\nwidth = 8\n");
  SampleShape sample{side, side, 1, 0};
  auto backend = make_cpu_backend({1});
  TrainedNet discriminator(build_discriminator_training(config, sample, batch), *backend);
  TrainedNet generator(build_generator_training(config, sample, batch), *backend, &discriminator.arenas());
  RandomStream stream(3, Purpose::test);
  std::vector<float> noise(batch * 8), images(batch * side * side);
  double first = 0, last = 0, sum = 0;
  constexpr int steps = 400, averaged = 50;
  for (int step = 0; step < steps; ++step) {
    for (float& value : noise) value = static_cast<float>(stream.normal());
    draw_real(stream, images);
    generator.step({noise.data()}, batch, 1e-3, 0.5);
    const float* fakes = generator.result(1);
    if (step == 0) first = distance_of_means(fakes);
    if (step >= steps - averaged) last += distance_of_means(fakes) / averaged;
    discriminator.step({images.data(), fakes}, batch, 1e-3, 0.5);
    sum += generator.statistic("loss") + discriminator.statistic("loss_real") +
           discriminator.statistic("loss_fake");
  }
  EXPECT_TRUE(std::isfinite(sum));
  EXPECT_GT(first, 0.4);
  EXPECT_LT(last, 0.2);
  std::printf("distance of mean images: %.3f at first, %.3f at last\n", first, last);
}

}  // namespace
}  // namespace trireme
