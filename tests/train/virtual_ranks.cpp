// The same bits on any number of ranks, for every kind of model and everything that moves parameters.
#include <gmock/gmock.h>

#include "data/sampler.h"
#include "support/toy_text.h"
#include "train/session.h"
#include "train/virtual_ranks.h"
#include "training_fixture.h"

namespace trireme::test {
namespace {

TEST(Pieces, of_virtual_ranks_carry_like_a_binary_counter) {
  Pieces pieces(17, {.rank = 0, .ranks = 1, .virtual_ranks = 8});
  ASSERT_EQ(pieces.count(), 8);
  std::vector<int> merges;
  for (int64_t i = 0; i < 8; ++i) merges.push_back(pieces[i].merges);
  EXPECT_THAT(merges, testing::ElementsAre(0, 1, 0, 2, 0, 1, 0, 3));
  EXPECT_EQ(pieces[0], (MicroBatch{0, 3, 0, false}));
  EXPECT_EQ(pieces[7], (MicroBatch{15, 2, 3, true}));
  Pieces second(17, {.rank = 1, .ranks = 4, .virtual_ranks = 8});
  ASSERT_EQ(second.count(), 2);
  EXPECT_EQ(second[0], (MicroBatch{0, 2, 0, false}));
  EXPECT_EQ(second[1], (MicroBatch{2, 2, 1, true}));
  Pieces sparse(3, {.rank = 0, .ranks = 2, .virtual_ranks = 8});
  EXPECT_EQ(sparse.count(), 4);
  EXPECT_EQ(sparse[3], (MicroBatch{3, 0, 2, true}));
  EXPECT_EQ(Pieces(3, (Sharing{.rank = 1, .ranks = 2, .virtual_ranks = 8})).count(), 0);
}

// Every sample is in one piece of one rank, and a rank's share lies where its first piece begins.
TEST(Pieces, share_a_batch_out) {
  for (int64_t count : {0, 1, 7, 8, 9, 61, 64}) {
    for (int64_t ranks : {1, 2, 4, 8}) {
      int64_t next = 0;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        auto begin = static_cast<int64_t>(share_of(count, rank, ranks, 8).begin);
        Pieces pieces(count, {.rank = rank, .ranks = ranks, .virtual_ranks = 8});
        for (int64_t i = 0; i < pieces.count(); ++i) {
          EXPECT_EQ(begin + pieces[i].first, next);
          next += pieces[i].count;
        }
      }
      EXPECT_EQ(next, count);
    }
  }
}

class VirtualRanks : public TrainingTest {
 protected:
  // The hash and every step's loss and norm are the same on 1, 2 and 4 ranks; returns the hash.
  std::string expect_equal_bits(const Config& c, const std::string& name) {
    RunOutcome alone = run(c, 1, name + "1");
    for (int ranks : {2, 4}) {
      RunOutcome more = run(c, ranks, name + std::to_string(ranks));
      EXPECT_EQ(more.result.parameters_sha256, alone.result.parameters_sha256)
          << name << " on " << ranks << " ranks";
      EXPECT_EQ(more.losses(), alone.losses());
      EXPECT_EQ(more.steps.back().gradient_norm, alone.steps.back().gradient_norm);
    }
    return alone.result.parameters_sha256;
  }
  // Two epochs of 61 samples in batches of 17: shards differ in size, and the last batch has 10 samples.
  Config sharded(const std::string& extra = "", int64_t shards = 8) {
    return config("train.epochs = 2\nparallel.virtual_ranks = " + std::to_string(shards) + "\n" + extra, 61,
                  17);
  }
};

TEST_F(VirtualRanks, equal_bits_of_a_perceptron_that_depend_on_their_number_alone) {
  std::string eight = expect_equal_bits(sharded(), "eight");
  EXPECT_EQ(summary("eight2")["virtual_ranks"], 8);
  EXPECT_THAT(text_of("eight2/log.txt"), testing::HasSubstr("8 virtual ranks, 4 on each"));
  EXPECT_NE(eight, expect_equal_bits(sharded("", 4), "four"));
  EXPECT_EQ(eight, run(sharded(), 8, "of-eight").result.parameters_sha256);
}

TEST_F(VirtualRanks, as_many_as_ranks_are_the_plain_step) {
  for (int ranks : {2, 4}) {
    std::string name = std::to_string(ranks);
    EXPECT_EQ(run(sharded("", ranks), ranks, "as-many" + name).losses(),
              run(sharded("", 0), ranks, "plain" + name).losses());
    EXPECT_EQ(summary("as-many" + name)["parameters_sha256"], summary("plain" + name)["parameters_sha256"]);
  }
}

TEST_F(VirtualRanks, batches_of_fewer_samples_than_shards) {
  expect_equal_bits(config("train.epochs = 2\nparallel.virtual_ranks = 8\n", 13, 5), "sparse");
}

TEST_F(VirtualRanks, batch_norm_dropout_and_augmentation) {
  expect_equal_bits(sharded("data.transform.horizontal_flip = true\n" + std::string(batch_norm_model)),
                    "norm");
}

TEST_F(VirtualRanks, everything_that_moves_parameters) {
  expect_equal_bits(
      sharded("optimizer.momentum = 0.9\ntrain.gradient_clip_norm = 0.3\noptimizer.ema_decay = 0.9\n"
              "comm.bucket_bytes = 1024\n"),
      "momentum");
  expect_equal_bits(
      sharded("optimizer.kind = \"adamw\"\noptimizer.learning_rate = 0.01\ncomm.overlap = \"on\"\n"
              "comm.bucket_bytes = 1024\n"),
      "adamw");
  std::string lamb = expect_equal_bits(sharded("optimizer.kind = \"lamb\"\n"), "lamb");
  EXPECT_EQ(
      expect_equal_bits(sharded("optimizer.kind = \"lamb\"\nparallel.allreduce.shard_optimizer = true\n"),
                        "lamb-sharded"),
      lamb);
}

TEST_F(VirtualRanks, low_precisions) {
  expect_equal_bits(sharded("train.precision = \"bfloat16\"\n"), "bfloat16");
  Config half = sharded("train.precision = \"float16\"\ntrain.loss_scale = 16777216\n");
  expect_equal_bits(half, "float16");
  EXPECT_GT(run(half, 2, "skips").steps.back().skipped_steps, 0)
      << "the test is about steps that are left out too";
}

TEST_F(VirtualRanks, text) {
  write_toy_text(folder_ / "text.h5");
  for (std::string model : {"kind = \"gpt\"\nwidth = 16\nheads = 2\ndepth = 2\ndropout = 0.1\n",
                            "kind = \"lstm\"\nunits = 12\n", "kind = \"rnn\"\nunits = 12\n"}) {
    Config c =
        parse_config("[data]\ntrain = \"" + (folder_ / "text.h5").string() +
                         "\"\nbatch = 11\nsequence_length = 8\n[train]\nthreads = 1\nepochs = 2\n[parallel]\n"
                         "virtual_ranks = 8\n[model]\n" +
                         model,
                     "test.toml");
    expect_equal_bits(c, model.substr(8, 3));
  }
}

TEST_F(VirtualRanks, gan) {
  expect_equal_bits(
      config("train.epochs = 2\nparallel.virtual_ranks = 4\ndata.transform.normalize = false\n"
             "optimizer.kind = \"adam\"\noptimizer.learning_rate = 0.002\n[model]\nkind = \"gan\"\n"
             "latent = 5\nwidth = 4\n",
             24, 9),
      "gan");
}

// Stopped in the middle of an epoch on 4 ranks, then on 2, ended on 1.
TEST_F(VirtualRanks, over_resumption_on_other_numbers_of_ranks) {
  Config c = sharded("train.epochs = 3\noptimizer.momentum = 0.9\n" + std::string(batch_norm_model));
  std::string whole = run(c, 2, "whole").result.parameters_sha256;
  auto stopping_after = [](int64_t steps) {
    return [steps](TrainOptions& options, int) { stop_after(options, steps); };
  };
  EXPECT_EQ(run(c, 4, "parts", stopping_after(2)).result.state, Outcome::stopped);
  EXPECT_EQ(run(c, 2, "parts", stopping_after(7)).result.state, Outcome::stopped);
  EXPECT_EQ(run(c, 1, "parts").result.parameters_sha256, whole);
}

TEST_F(VirtualRanks, warn_when_a_run_goes_on_with_another_number_of_them) {
  auto stop = [](TrainOptions& options, int) { stop_after(options, 3); };
  run(sharded(), 2, "parts", stop);
  run(sharded("", 4), 2, "parts");
  EXPECT_THAT(text_of("parts/log.txt"),
              testing::HasSubstr("parallel.virtual_ranks was 8 and is 4 now: sums are rounded differently"));
  run(sharded("", 0), 2, "without", stop);
  run(sharded(), 2, "without");
  EXPECT_THAT(text_of("without/log.txt"), testing::HasSubstr("parallel.virtual_ranks was 0 and is 8 now"));
}

// The step that goes wrong, the look for its first bad tensor, and what comes after it.
TEST_F(VirtualRanks, rollbacks) {
  Config c = config(
      "train.epochs = 1\ntrain.on_nan = \"rollback\"\nmodel.hidden = [160, 100]\n"
      "optimizer.weight_decay = 40.0\noptimizer.learning_rate = 0.2\nparallel.virtual_ranks = 4\n",
      800, 8);
  c.optimizer.momentum = 0.1;
  c.checkpoint.every_steps = 40;
  expect_equal_bits(c, "rollback");
  EXPECT_THAT(text_of("rollback2/log.txt"), testing::HasSubstr("ROLLBACK"));
}

// One rank's vote stops all after the step it is cast in, through shards that have samples and shards that
// have none: rank 2's last shard, and all of rank 3's.
TEST_F(VirtualRanks, keep_a_vote_to_stop) {
  Config c = config("train.epochs = 4\nparallel.virtual_ranks = 8\n", 13, 5);
  for (int voter : {0, 2, 3}) {
    RunOutcome outcome = run(c, 4, "vote" + std::to_string(voter), [voter](TrainOptions& options, int rank) {
      if (rank == voter) stop_after(options, 1);
    });
    EXPECT_EQ(outcome.result.state, Outcome::stopped);
    EXPECT_EQ(outcome.result.steps, 2) << "in the middle of the epoch, by the vote of rank " << voter;
  }
}

// A group that adds in an order of its own.
class OtherOrder : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 4; }
  std::string name() const override { return "hierarchical"; }
  bool keeps_tree() const override { return false; }

 private:
  void do_all_reduce(const void*, void*, size_t, DType, ReduceOp) override {}
  void do_reduce_scatter(const void*, void*, std::span<const size_t>, DType, ReduceOp) override {}
  void do_all_gather(const void*, void*, std::span<const size_t>, DType) override {}
  void do_broadcast(void*, size_t, int) override {}
  void do_barrier() override {}
  std::unique_ptr<Communicator> do_split(int, int) override { return nullptr; }
};

TEST_F(VirtualRanks, refuse_a_group_that_does_not_keep_the_tree) {
  OtherOrder group;
  expect_error(ExitCode::bad_config,
               {"parallel.virtual_ranks = 8", "hierarchical", "comm.backend = \"mpi\"", "on each node"},
               [&] { sharing_of(sharded(), group); });
  EXPECT_EQ(sharing_of(sharded("", 0), group).ranks, 4) << "without virtual ranks any order will do";
}

TEST_F(VirtualRanks, need_a_power_of_two_of_ranks_that_is_not_larger) {
  for (int ranks : {3, 4}) {
    expect_error(ExitCode::bad_config,
                 {"parallel.virtual_ranks = 2", std::to_string(ranks) + " ranks", "1, 2, 4"},
                 [&] { run(sharded("", 2), ranks, "bad"); });
  }
}

TEST(ComputeThreads, do_not_depend_on_the_machine_with_virtual_ranks) {
  Config config;
  EXPECT_EQ(compute_threads(config, 6), 6);
  config.parallel.virtual_ranks = 2;
  EXPECT_EQ(compute_threads(config, 6), 1);
  config.train.threads = 3;
  EXPECT_EQ(compute_threads(config, 6), 3);
}

}  // namespace
}  // namespace trireme::test
