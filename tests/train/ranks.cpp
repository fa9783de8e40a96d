// The step's batch is global: losses do not depend on the number of ranks.
#include "training_fixture.h"

namespace trireme::test {
namespace {

class Ranks : public TrainingTest {
 protected:
  // Losses, validations and parameters' losses of `ranks` ranks against one rank.
  void expect_same_as_one_rank(const Config& c, std::initializer_list<int> rank_counts) {
    RunOutcome one = run(c, 1, "ranks1");
    for (int ranks : rank_counts) {
      RunOutcome many = run(c, ranks, "ranks" + std::to_string(ranks));
      ASSERT_EQ(many.steps.size(), one.steps.size());
      for (size_t i = 0; i < one.steps.size(); ++i) {
        EXPECT_NEAR(many.steps[i].loss, one.steps[i].loss, 2e-5 * (1 + one.steps[i].loss))
            << ranks << " ranks, " << i;
        EXPECT_EQ(many.steps[i].samples, one.steps[i].samples);
      }
      ASSERT_EQ(many.validations.size(), one.validations.size());
      for (size_t i = 0; i < one.validations.size(); ++i) {
        EXPECT_NEAR(many.validations[i].loss, one.validations[i].loss, 1e-4);
        EXPECT_NEAR(*many.validations[i].accuracy, *one.validations[i].accuracy, 1.01 / 37);
      }
    }
  }
};

TEST_F(Ranks, even_batches) { expect_same_as_one_rank(config("train.epochs = 3\n", 64, 24), {2, 3}); }

TEST_F(Ranks, uneven_slices_and_an_uneven_last_batch) {
  // 61 samples in batches of 17: the last has 10. Slices of 2 ranks: 9 + 8, of 3: 6 + 6 + 5.
  expect_same_as_one_rank(config("train.epochs = 3\n", 61, 17), {2, 3});
}

TEST_F(Ranks, a_last_batch_smaller_than_the_number_of_ranks) {
  // 33 samples in batches of 16: the last step has one sample, which rank 0 takes.
  expect_same_as_one_rank(config("train.epochs = 3\n", 33, 16), {2, 3, 4});
}

TEST_F(Ranks, every_batch_smaller_than_the_number_of_ranks) {
  expect_same_as_one_rank(config("train.epochs = 2\noptimizer.learning_rate = 0.02\n", 9, 2), {3, 4});
}

TEST_F(Ranks, fewer_samples_than_a_batch) {
  expect_same_as_one_rank(config("train.epochs = 4\n", 5, 16), {2, 3});
}

TEST_F(Ranks, fewer_validation_samples_than_ranks) {
  Config c = config("train.epochs = 1\n");
  write_toy_images(folder_ / "two.h5", {.count = 2, .seed = 5});
  c.data.validation = (folder_ / "two.h5").string();
  RunOutcome outcome = run(c, 3, "run");
  EXPECT_EQ(outcome.validations.size(), 1u);
}

TEST_F(Ranks, small_buckets_clipping_and_dropout) {
  // Dropout draws by the sample's place in the global batch, clipping sees the global gradient.
  Config c = config(
      "train.epochs = 3\ntrain.gradient_clip_norm = 0.5\ncomm.bucket_bytes = 4096\nmodel.dropout = 0.3\n", 61,
      17);
  expect_same_as_one_rank(c, {2, 3});
}

TEST_F(Ranks, augmentation_and_adamw) {
  Config c = config(
      "train.epochs = 3\ndata.transform.random_crop_padding = 1\ndata.transform.horizontal_flip = true\n"
      "optimizer.kind = \"adamw\"\noptimizer.learning_rate = 0.003\noptimizer.weight_decay = 0.01\n",
      61, 17);
  expect_same_as_one_rank(c, {2, 3});
}

TEST_F(Ranks, the_same_number_of_ranks_gives_the_same_bits) {
  Config c = config("train.epochs = 2\n" + std::string(batch_norm_model), 61, 17);
  for (int ranks : {1, 2, 3}) {
    RunOutcome a = run(c, ranks, "a" + std::to_string(ranks));
    RunOutcome b = run(c, ranks, "b" + std::to_string(ranks));
    EXPECT_EQ(a.result.parameters_sha256, b.result.parameters_sha256);
    EXPECT_EQ(a.losses(), b.losses());
  }
}

}  // namespace
}  // namespace trireme::test
