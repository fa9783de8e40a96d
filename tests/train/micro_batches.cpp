// Gradient accumulation: a share computed in pieces is the share.
#include "train/micro_batches.h"

#include <gmock/gmock.h>

#include "training_fixture.h"

namespace trireme::test {
namespace {

TEST(MicroBatch, cuts_evenly_and_leaves_no_piece_empty) {
  Sharing four{.micro_batches = 4};
  EXPECT_EQ(Pieces(17, four).count(), 4);
  EXPECT_EQ(Pieces(3, four).count(), 3);
  EXPECT_EQ(Pieces(0, four).count(), 0);
  EXPECT_EQ(Pieces(17, four)[0], (MicroBatch{0, 5, 0, false}));
  EXPECT_EQ(Pieces(17, four)[1], (MicroBatch{5, 4, 1, false}));
  EXPECT_EQ(Pieces(17, four)[3], (MicroBatch{13, 4, 1, true}));
  EXPECT_EQ(Pieces(17, Sharing{})[0], (MicroBatch{0, 17, 0, true}));
  EXPECT_EQ(Pieces(17, (Sharing{.rank = 1, .ranks = 2, .micro_batches = 4}))[0],
            (MicroBatch{0, 2, 0, false}));
}

class MicroBatches : public TrainingTest {
 protected:
  // The same losses within rounding, on 1 and 2 ranks, in pieces that do and do not divide evenly.
  void expect_equal_to_one_piece(const std::string& extra) {
    Config c = config("train.epochs = 3\n" + extra, 61, 17);
    RunOutcome plain = run(c, 1, "plain");
    for (int ranks : {1, 2}) {
      for (int64_t pieces : {2, 3, 5, 40}) {
        c.train.micro_batches = pieces;
        RunOutcome cut = run(c, ranks, "cut" + std::to_string(ranks) + "-" + std::to_string(pieces));
        ASSERT_EQ(cut.steps.size(), plain.steps.size());
        for (size_t i = 0; i < plain.steps.size(); ++i) {
          EXPECT_NEAR(cut.steps[i].loss, plain.steps[i].loss, 2e-5 * (1 + plain.steps[i].loss))
              << ranks << " ranks, " << pieces << " pieces, step " << i;
        }
        EXPECT_NEAR(cut.validations.back().loss, plain.validations.back().loss, 1e-4);
      }
    }
  }
};

TEST_F(MicroBatches, equal_the_plain_step) { expect_equal_to_one_piece(""); }

// Draws are by a sample's place in the global batch, so the cut does not change them; ranges cross small
// buckets.
TEST_F(MicroBatches, with_dropout_clipping_and_small_buckets) {
  expect_equal_to_one_piece(
      "model.dropout = 0.3\ntrain.gradient_clip_norm = 0.5\ncomm.bucket_bytes = 4096\n");
}

// The ranks' requests to stop ride behind the gradients, which are summed over pieces.
TEST_F(MicroBatches, stop_and_resume_to_the_bit) {
  Config c = config("train.epochs = 3\ntrain.micro_batches = 3\n" + std::string(batch_norm_model), 61, 17);
  RunOutcome whole = run(c, 2, "whole");
  RunOutcome part = run(c, 2, "parts", [](TrainOptions& options, int rank) {
    if (rank == 1) stop_after(options, 5);
  });
  EXPECT_EQ(part.result.state, Outcome::stopped);
  EXPECT_EQ(part.result.steps, 6);
  EXPECT_EQ(run(c, 2, "parts").result.parameters_sha256, whole.result.parameters_sha256);
}

// Batch norm sees the piece alone, as another number of ranks would make it: alike, not equal.
TEST_F(MicroBatches, batch_norm_sees_the_piece) {
  Config c = config("train.epochs = 3\n" + std::string(batch_norm_model), 64, 32);
  RunOutcome plain = run(c, 1, "plain");
  c.train.micro_batches = 2;
  RunOutcome cut = run(c, 1, "cut");
  EXPECT_NE(cut.losses(), plain.losses());
  EXPECT_NEAR(cut.steps[0].loss, plain.steps[0].loss, 0.3);
  EXPECT_NEAR(cut.validations.back().loss, plain.validations.back().loss, 0.3);
}

}  // namespace
}  // namespace trireme::test
