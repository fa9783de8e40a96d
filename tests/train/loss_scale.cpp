// The dynamic loss scale by itself, and float16 training with it.
#include "train/loss_scale.h"

#include "train/training_fixture.h"

namespace trireme::test {
namespace {

TEST(LossScale, HalvesOnOverflowAndDoublesAfterGoodSteps) {
  LossScale scale(1024, 3);
  EXPECT_TRUE(scale.overflowed());
  EXPECT_EQ(scale.scale(), 512);
  for (int i = 0; i < 2; ++i) scale.succeeded();
  EXPECT_EQ(scale.scale(), 512);
  scale.succeeded();
  EXPECT_EQ(scale.state(), (LossScaleState{1024, 0}));
  scale.succeeded();
  EXPECT_TRUE(scale.overflowed());  // the count of good steps begins anew
  for (int i = 0; i < 2; ++i) scale.succeeded();
  EXPECT_EQ(scale.state(), (LossScaleState{512, 2}));
  scale.restart();
  EXPECT_EQ(scale.state(), (LossScaleState{1024, 0}));
}

TEST(LossScale, StaysAPowerOfTwoBetweenItsEnds) {
  LossScale scale(1000, 1);
  EXPECT_EQ(scale.scale(), 512);
  for (int i = 0; i < 100; ++i) scale.succeeded();
  EXPECT_EQ(scale.scale(), LossScale::largest);
  int halvings = 0;
  while (scale.overflowed()) ++halvings;
  EXPECT_EQ(halvings, 24 + 14);
  EXPECT_EQ(scale.scale(), LossScale::smallest);
}

TEST(LossScale, IsForFloat16Alone) {
  TrainConfig train;
  EXPECT_FALSE(make_loss_scale(train));
  train.precision = "bfloat16";
  EXPECT_FALSE(make_loss_scale(train));
  train.precision = "float16";
  train.loss_scale = 128;
  ASSERT_TRUE(make_loss_scale(train));
  EXPECT_EQ(make_loss_scale(train)->scale(), 128);
}

}  // namespace
}  // namespace trireme::test
