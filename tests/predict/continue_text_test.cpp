// Text continued: draws that a seed decides, the window, prompts that cannot be read.
#include "predict/continue_text.h"

#include "data/tokenizer.h"
#include "predict/predict_fixture.h"

namespace trireme {
namespace {

using namespace test;

TEST(ChooseToken, FollowsTheProbabilities) {
  const float logits[] = {0.0F, 1.0F, 3.0F, 1.0F};
  EXPECT_EQ(choose_token(logits, 4, 0, 0, 0.99), 2) << "greedy";
  EXPECT_EQ(choose_token(logits, 4, 1, 1, 0.99), 2) << "of one";
  EXPECT_EQ(choose_token(logits, 4, 1, 2, 0.999), 1) << "of equal ones the smaller token";
  EXPECT_EQ(choose_token(logits, 4, 1, 0, 0.0), 0);
  EXPECT_EQ(choose_token(logits, 4, 1, 0, 0.999999), 3);
  int counts[4] = {};
  for (int i = 0; i < 1000; ++i) ++counts[choose_token(logits, 4, 1, 0, (i + 0.5) / 1000)];
  EXPECT_NEAR(counts[2], 1000 * std::exp(3.0) / (1 + 2 * std::exp(1.0) + std::exp(3.0)), 2);
  int bold = 0;
  for (int i = 0; i < 1000; ++i) bold += choose_token(logits, 4, 1000, 0, (i + 0.5) / 1000) == 0 ? 1 : 0;
  EXPECT_NEAR(bold, 250, 2) << "very warm: all alike";
}

class ContinueText : public PredictTest {
 protected:
  std::string continued(const Config& config, const std::string& prompt, double temperature,
                        uint64_t seed = 1, int64_t tokens = 60) {
    PromptOptions options;
    options.run_directory = folder_ / "run";
    options.prompt = prompt;
    options.tokens = tokens;
    options.temperature = temperature;
    options.seed = seed;
    std::string written;
    options.write = [&](std::string_view text) { written += text; };
    std::string text = continue_text(config, options);
    EXPECT_EQ(written, text);
    return text;
  }
};

TEST_F(ContinueText, ASeedIsAText) {
  Config toy = text_config("train.epochs=4");
  run(toy, 1, "run");
  std::string greedy = continued(toy, "hel", 0);
  EXPECT_EQ(greedy.size(), 63u);
  EXPECT_TRUE(greedy.starts_with("hello world. ")) << greedy;
  EXPECT_EQ(continued(toy, "hel", 0, 7), greedy) << "nothing is drawn";
  std::string drawn = continued(toy, "hel", 1.5);
  EXPECT_EQ(continued(toy, "hel", 1.5), drawn);
  EXPECT_NE(continued(toy, "hel", 1.5, 2), drawn);
  EXPECT_EQ(continued(toy, "hel", 1.5, 1, 20), drawn.substr(0, 23)) << "a shorter text is its beginning";
  // The model sees the last 16 tokens only: another text before them changes nothing.
  std::string tail = "sea is blue. the";
  ASSERT_EQ(tail.size(), 16u);
  EXPECT_EQ(continued(toy, "hello" + tail, 1).substr(5), continued(toy, "world. " + tail, 1).substr(7));
}

TEST_F(ContinueText, WhatCannotBeReadIsRefused) {
  Config toy = text_config("train.steps=1");
  run(toy, 1, "run");
  expect_error(ExitCode::usage, {"byte 3", "'Z'", "text.h5"}, [&] { continued(toy, "heZ", 1); });
  expect_error(ExitCode::usage, {"--prompt is empty"}, [&] { continued(toy, "", 1); });
  expect_error(ExitCode::usage, {"language models", "images"}, [&] { continued(config(), "hel", 1); });
}

}  // namespace
}  // namespace trireme
