// Training in 16 bits: where it ends beside float32, and that a float16 run skips, recovers and resumes.
#include <cmath>

#include "train/plan_report.h"
#include "train/training_fixture.h"

namespace trireme::test {
namespace {

class PrecisionTest : public TrainingTest {
 protected:
  // A small CNN with batch norm and dropout; the lines of `extra` come first.
  Config small_cnn(const std::string& extra) {
    return config("optimizer.learning_rate = 0.05\n" + extra + batch_norm_model);
  }
};

TEST_F(PrecisionTest, Bfloat16EndsWhereFloat32Does) {
  const std::string epochs = "train.epochs = 12\n";
  RunOutcome wide = run(small_cnn(epochs), 1, "float32");
  RunOutcome narrow = run(small_cnn(epochs + "train.precision = \"bfloat16\"\n"), 1, "bfloat16");
  ASSERT_EQ(wide.steps.size(), narrow.steps.size());
  EXPECT_LT(narrow.steps.back().loss, 0.5 * narrow.steps.front().loss);
  // 8 bits of fraction: losses agree to a few per cent as long as trajectories have not parted.
  EXPECT_NEAR(narrow.steps.front().loss, wide.steps.front().loss, 0.02 * wide.steps.front().loss);
  ASSERT_FALSE(narrow.validations.empty());
  EXPECT_NEAR(narrow.validations.back().loss, wide.validations.back().loss, 0.1);
  EXPECT_NE(narrow.result.parameters_sha256, wide.result.parameters_sha256)
      << "nothing was computed in 16 bits";
}

TEST_F(PrecisionTest, Float16EndsWhereFloat32Does) {
  const std::string epochs = "train.epochs = 6\n";
  RunOutcome wide = run(small_cnn(epochs), 1, "float32");
  RunOutcome narrow =
      run(small_cnn(epochs + "train.precision = \"float16\"\ntrain.loss_scale = 1024.0\n"), 1, "float16");
  EXPECT_EQ(narrow.steps.back().skipped_steps, 0);
  EXPECT_EQ(narrow.steps.back().loss_scale, 1024);
  EXPECT_NEAR(narrow.steps.back().loss, wide.steps.back().loss, 0.02);
  EXPECT_NEAR(narrow.validations.back().loss, wide.validations.back().loss, 0.05);
}

TEST_F(PrecisionTest, TheLossScaleChangesExponentsOnly) {
  // Without overflow and underflow powers of two leave the same bits, clipping included.
  const std::string lines =
      "train.epochs = 1\ntrain.precision = \"float16\"\ntrain.gradient_clip_norm = 0.5\n";
  RunOutcome once = run(small_cnn(lines + "train.loss_scale = 512.0\n"), 1, "a");
  RunOutcome twice = run(small_cnn(lines + "train.loss_scale = 1024.0\n"), 1, "b");
  EXPECT_EQ(once.steps.back().skipped_steps, 0);
  for (size_t i = 0; i < once.steps.size(); ++i) {
    EXPECT_NEAR(once.steps[i].loss, twice.steps[i].loss, 1e-3);  // denormals round otherwise
    ASSERT_TRUE(once.steps[i].gradient_norm);
    EXPECT_NEAR(*once.steps[i].gradient_norm, *twice.steps[i].gradient_norm,
                0.02 * *once.steps[i].gradient_norm);
  }
}

const char* const overflowing =
    "train.epochs = 4\ntrain.precision = \"float16\"\ntrain.loss_scale = 16777216.0\n";

TEST_F(PrecisionTest, AScaleThatOverflowsSkipsHalvesAndRecovers) {
  for (int ranks : {1, 2}) {
    RunOutcome outcome = run(small_cnn(overflowing), ranks, "ranks" + std::to_string(ranks));
    const std::vector<TrainRecord>& steps = outcome.steps;
    int64_t skipped = steps.back().skipped_steps;
    EXPECT_GT(skipped, 2);
    EXPECT_LT(skipped, 14);
    int64_t before = 0;
    double scale = 16777216;
    for (const TrainRecord& step : steps) {
      ASSERT_TRUE(step.loss_scale);
      if (step.skipped_steps > before) scale /= 2;
      EXPECT_EQ(*step.loss_scale, scale) << "after step " << step.step;
      EXPECT_TRUE(std::isfinite(step.loss));
      before = step.skipped_steps;
    }
    EXPECT_EQ(steps.front().skipped_steps, 1);
    EXPECT_LT(steps.back().loss, 0.8 * steps.front().loss) << "learns once it fits";
    EXPECT_NE(text_of("ranks" + std::to_string(ranks) + "/metrics.jsonl").find("\"loss_scale\""),
              std::string::npos);
  }
}

TEST_F(PrecisionTest, SkippedStepsLeaveEveryBit) {
  Config untouched = small_cnn(std::string(overflowing) + "train.steps = 1\n");
  Config longer = small_cnn(std::string(overflowing) + "train.steps = 2\n");
  RunOutcome one = run(untouched, 1, "one"), two = run(longer, 1, "two");
  EXPECT_EQ(two.steps.back().skipped_steps, 2);
  EXPECT_EQ(one.result.parameters_sha256, two.result.parameters_sha256);
  // Running statistics and moments stay too, so that the first step that fits is a run's first update.
  RunOutcome learned = run(small_cnn(std::string(overflowing) + "train.steps = 12\n"), 1, "learned");
  EXPECT_NE(learned.result.parameters_sha256, one.result.parameters_sha256);
}

TEST_F(PrecisionTest, ResumeKeepsTheScale) {
  const std::string lines = std::string(overflowing) + "train.loss_scale_steps = 3\n";
  RunOutcome whole = run(small_cnn(lines), 1, "whole");
  RunOutcome first =
      run(small_cnn(lines), 1, "parts", [](TrainOptions& options, int) { stop_after(options, 9); });
  ASSERT_LT(first.steps.back().step, whole.steps.back().step);
  RunOutcome second = run(small_cnn(lines), 1, "parts");
  EXPECT_EQ(second.steps.front().step, first.steps.back().step + 1);
  for (const TrainRecord& step : second.steps) {
    const TrainRecord& same = whole.steps.at(static_cast<size_t>(step.step - 1));
    EXPECT_EQ(step.loss_scale, same.loss_scale) << step.step;
    EXPECT_EQ(step.skipped_steps, same.skipped_steps) << step.step;
    EXPECT_EQ(step.loss, same.loss) << step.step;
  }
  EXPECT_EQ(second.result.parameters_sha256, whole.result.parameters_sha256);
}

TEST_F(PrecisionTest, Float32HasNoCastsAndNoScale) {
  std::string wide = plan_report(small_cnn(""), 1);
  EXPECT_EQ(wide.find("cast("), std::string::npos);
  EXPECT_EQ(wide.find("float16"), std::string::npos);
  std::string narrow = plan_report(small_cnn("train.precision = \"bfloat16\"\n"), 1);
  EXPECT_NE(narrow.find("cast("), std::string::npos);
  EXPECT_NE(narrow.find(": bfloat16["), std::string::npos);
  EXPECT_NE(narrow.find("of activations in bfloat16"), std::string::npos) << narrow;
  EXPECT_FALSE(run(small_cnn("train.steps = 2\n"), 1, "plain").steps.back().loss_scale);
}

}  // namespace
}  // namespace trireme::test
