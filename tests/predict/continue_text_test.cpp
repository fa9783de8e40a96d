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

}  // namespace
}  // namespace trireme
