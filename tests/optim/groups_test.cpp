// Parameter groups: which tensor moves by which settings, and what is told of patterns that name nothing.
#include "optim/groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace trireme {
namespace {

std::vector<ParameterTensor> tensors() {
  return {{"head.weight", 2, {0, 64}},
          {"head.bias", 1, {64, 80}},
          {"block3.norm.gamma", 1, {80, 96}},
          {"block3.linear.weight", 2, {96, 128}},
          {"block30.linear.weight", 2, {128, 160}}};
}

OptimizerConfig config(std::vector<OptimizerGroupConfig> groups) {
  OptimizerConfig config;
  config.weight_decay = 0.5;
  config.group = std::move(groups);
  for (size_t i = 0; i < config.group.size(); ++i) {
    config.group[i].place.text =
        "net.toml:" + std::to_string(i + 1) + ":1: optimizer.group[" + std::to_string(i) + "]";
  }
  return config;
}

std::vector<double> decays(const std::vector<UpdateSpan>& spans) {
  std::vector<double> values;
  for (const UpdateSpan& span : spans) values.push_back(span.weight_decay);
  return values;
}

std::vector<double> factors(const std::vector<UpdateSpan>& spans) {
  std::vector<double> values;
  for (const UpdateSpan& span : spans) values.push_back(span.learning_rate_factor);
  return values;
}

using Numbers = std::vector<double>;

TEST(UpdateSpans, VectorsDoNotDecayAndKnowNoTrustRatio) {
  std::vector<UpdateSpan> spans = update_spans(tensors(), config({}));
  EXPECT_EQ(decays(spans), (Numbers{0.5, 0, 0, 0.5, 0.5}));
  EXPECT_EQ(factors(spans), (Numbers{1, 1, 1, 1, 1}));
  EXPECT_TRUE(spans[0].trust_ratio);
  EXPECT_FALSE(spans[1].trust_ratio);
  EXPECT_EQ(spans[3].range, (Range{96, 128}));
}

TEST(UpdateSpans, TheFirstGroupCounts) {
  std::vector<UpdateSpan> spans = update_spans(
      tensors(), config({{.parameters = {"block3.*"}, .learning_rate_factor = 0.5, .weight_decay = 0.25},
                         {.parameters = {"head.bias", "block3*"}, .learning_rate_factor = 2}}));
  EXPECT_EQ(factors(spans), (Numbers{1, 2, 0.5, 0.5, 2}));
  EXPECT_EQ(decays(spans), (Numbers{0.5, 0, 0.25, 0.25, 0.5})) << "-1 leaves the decay as it is";
}

TEST(UpdateSpans, AStarStandsForDotsAndAQuestionMarkForOneLetter) {
  EXPECT_EQ(decays(update_spans(tensors(), config({{.parameters = {"*.weight"}, .weight_decay = 0}}))),
            (Numbers{0, 0, 0, 0, 0}));
  EXPECT_EQ(decays(update_spans(tensors(), config({{.parameters = {"block3?.*"}, .weight_decay = 0}}))),
            (Numbers{0.5, 0, 0, 0.5, 0}));
}

TEST(UpdateSpans, PatternsOfOneGroupMayOverlap) {
  EXPECT_EQ(decays(update_spans(tensors(), config({{.parameters = {"*", "head.*"}, .weight_decay = 0}}))),
            (Numbers{0, 0, 0, 0, 0}));
}

TEST(UpdateSpans, APatternThatNamesNothingIsTold) {
  test::expect_error(
      ExitCode::bad_config, {"net.toml:2:1: optimizer.group[1]", "\"haed.bias\"", "\"head.bias\""}, [] {
        update_spans(tensors(),
                     config({{.parameters = {"*.gamma"}}, {.parameters = {"block3.*", "haed.bias"}}}));
      });
}

TEST(UpdateSpans, APatternBehindAWiderOneIsTold) {
  test::expect_error(
      ExitCode::bad_config, {"net.toml:2:1: optimizer.group[1]", "\"head.bias\"", "a group before"}, [] {
        update_spans(tensors(), config({{.parameters = {"*"}}, {.parameters = {"head.bias"}}}));
      });
}

}  // namespace
}  // namespace trireme
