// A run that is stopped and started again, in every family and precision, ends in the bits of one that was
// not; and what any number of ranks has saved, any other number goes on from, each sample once.
#include <gmock/gmock.h>
#include <stdlib.h>

#include <memory>

#include "support/toy_text.h"
#include "training_fixture.h"

namespace trireme::test {
namespace {

struct Family {
  const char* name;
  const char* model;
  bool text = false;
};
std::ostream& operator<<(std::ostream& stream, const Family& family) { return stream << family.name; }

const Family families[] = {
    {"mlp", "[model]\nkind = \"mlp\"\nhidden = [12, 8]\n"},
    {"batch_norm_and_dropout", batch_norm_model},
    {"cnn", "[model]\nkind = \"cnn\"\nchannels = [4, 4]\n"},
    {"resnet", "[model]\nkind = \"resnet\"\nwidth = 4\ndepth = 18\n"},
    {"gan", "[model]\nkind = \"gan\"\nlatent = 5\nwidth = 4\n"},
    {"rnn", "kind = \"rnn\"\nunits = 12\n", true},
    {"lstm", "kind = \"lstm\"\nunits = 12\n", true},
    {"gpt", "kind = \"gpt\"\nwidth = 16\nheads = 2\ndepth = 2\ndropout = 0.1\n", true},
};

class ExactResume : public TrainingTest, public testing::WithParamInterface<std::tuple<Family, const char*>> {
 protected:
  Config family_config() {
    auto [family, precision] = GetParam();
    std::string common =
        "optimizer.kind = \"adamw\"\noptimizer.learning_rate = 0.01\noptimizer.ema_decay = 0.9\n";
    if (family.text) {
      write_toy_text(folder_ / "text.h5", 300);
      return parse_config(
          "[data]\ntrain = \"" + (folder_ / "text.h5").string() +
              "\"\nbatch = 7\nsequence_length = 8\n[train]\nthreads = 1\nepochs = 2\nprecision = \"" +
              precision + "\"\n[optimizer]\nkind = \"adamw\"\nema_decay = 0.9\n[model]\n" + family.model,
          "test.toml");
    }
    if (std::string(family.name) == "gan") common += "data.transform.normalize = false\n";
    return config(
        "train.epochs = 2\ntrain.precision = \"" + std::string(precision) + "\"\n" + common + family.model,
        45, 10);
  }
};

INSTANTIATE_TEST_SUITE_P(All, ExactResume,
                         testing::Combine(testing::ValuesIn(families),
                                          testing::Values("float32", "bfloat16", "float16")),
                         [](const auto& tested) {
                           return std::string(std::get<0>(tested.param).name) + "_" +
                                  std::get<1>(tested.param);
                         });

// Stopped (a step after it was asked for) at the beginning of an epoch, near its end, and in the next one.
TEST_P(ExactResume, HasTheBitsOfAnUninterruptedRun) {
  Config c = family_config();
  RunOutcome whole = run(c, 1, "whole");
  auto steps = static_cast<int64_t>(whole.steps.size());
  ASSERT_GE(steps, 8);
  std::vector<double> losses;
  for (int64_t stop : {int64_t{1}, steps / 2 - 2, steps - 4}) {
    RunOutcome part = run(c, 1, "parts", [stop](TrainOptions& options, int) { stop_after(options, stop); });
    EXPECT_EQ(part.result.state, Outcome::stopped);
    EXPECT_GE(part.result.steps, stop);
    EXPECT_LT(part.result.steps, steps);
    for (double loss : part.losses()) losses.push_back(loss);
  }
  RunOutcome rest = run(c, 1, "parts");
  for (double loss : rest.losses()) losses.push_back(loss);
  EXPECT_EQ(losses, whole.losses());
  EXPECT_EQ(rest.result.parameters_sha256, whole.result.parameters_sha256);
}

class AnyRanks : public TrainingTest, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Optimizer, AnyRanks, testing::Bool(),
                         [](const auto& tested) { return tested.param ? "sharded" : "whole"; });

// N ranks save, M go on. Sums are rounded differently on another number of ranks, samples are the same: a run
// of one rank with the same samples gives the same losses but for rounding; a sample twice or left out would
// not.
TEST_P(AnyRanks, GoOnFromAnyOther) {
  std::string extra =
      "train.epochs = 2\noptimizer.momentum = 0.9\noptimizer.learning_rate = 0.05\ncomm.bucket_bytes = "
      "1024\n";
  Config whole_config = config(extra, 61, 17);
  RunOutcome whole = run(whole_config, 1, "whole");
  Config c = config(extra + (GetParam() ? "parallel.allreduce.shard_optimizer = true\n" : ""), 61, 17);
  for (int before : {1, 2, 3, 4}) {
    std::string name = "by" + std::to_string(before);
    RunOutcome first = run(c, before, name, [](TrainOptions& options, int) { stop_after(options, 3); });
    ASSERT_EQ(first.result.state, Outcome::stopped);
    for (int after : {1, 2, 3, 4}) {
      std::string copy = name + "to" + std::to_string(after);
      std::filesystem::copy(folder_ / name, folder_ / copy, std::filesystem::copy_options::recursive);
      RunOutcome rest = run(c, after, copy);
      EXPECT_EQ(rest.steps.front().step, 5);
      ASSERT_EQ(rest.steps.size(), whole.steps.size() - 4);
      for (size_t i = 0; i < rest.steps.size(); ++i) {
        EXPECT_NEAR(rest.steps[i].loss, whole.steps[i + 4].loss, 2e-4)
            << before << " to " << after << ", step " << i;
        EXPECT_EQ(rest.steps[i].samples, whole.steps[i + 4].samples);
      }
      // Sharded or not, the state is the same: equal numbers of ranks before and after, equal bits.
      if (before == after) {
        EXPECT_EQ(rest.result.parameters_sha256,
                  run(whole_config, after, "plain" + copy).result.parameters_sha256);
      }
    }
  }
}

class Stop : public TrainingTest {};

TEST_F(Stop, BeforeTheFirstStepLeavesNothingAndIsNoFailure) {
  Config c = config("train.epochs = 2\n");
  auto at_once = [](TrainOptions& options, int rank) {
    options.stop_requested = [rank] { return rank == 1; };
  };
  RunOutcome none = run(c, 2, "run", at_once);
  EXPECT_EQ(none.result.state, Outcome::stopped);
  EXPECT_TRUE(none.steps.empty());
  EXPECT_EQ(run(c, 2, "run").result.parameters_sha256, run(c, 2, "whole").result.parameters_sha256);
}

// Asked for while the run is put together, on one rank alone: what was saved stays, and the run goes on from
// it.
TEST_F(Stop, WhileLoadingKeepsWhatThereWas) {
  Config c = config("train.epochs = 2\n");
  run(c, 2, "run", [](TrainOptions& options, int) { stop_after(options, 5); });
  for (int poll : {1, 2, 3}) {
    auto later = [poll](TrainOptions& options, int rank) {
      options.stop_requested = [poll, rank, polls = std::make_shared<int>(0)] {
        return rank == 0 && ++*polls >= poll;
      };
    };
    EXPECT_EQ(run(c, 2, "run", later).result.state, Outcome::stopped) << poll;
    EXPECT_TRUE(has("run/checkpoints/step-0000000006/manifest.json"));
  }
  EXPECT_EQ(run(c, 2, "run").result.parameters_sha256, run(c, 2, "whole").result.parameters_sha256);
}

// The job's end is on rank 0's clock alone: all ranks leave the validation at once, and come back to it.
TEST_F(Stop, InAValidationByOneRankAlone) {
  Config c = config("train.epochs = 2\n");
  c.data.validation_batch = 2;  // of 37 samples: many batches
  RunOutcome part = run(c, 2, "run", [&](TrainOptions& options, int rank) {
    auto steps = std::make_shared<int64_t>(0);
    options.hooks.after_step = [steps](const TrainRecord& record) { *steps = record.step; };
    options.stop_requested = [rank, steps, polls = std::make_shared<int>(0)] {
      return rank == 0 && *steps == 4 &&
             ++*polls >= 2;  // the first poll of the validation after step 4, or a later one
    };
  });
  EXPECT_EQ(part.result.state, Outcome::stopped);
  EXPECT_EQ(part.result.steps, 4);
  EXPECT_TRUE(part.validations.empty());
  EXPECT_EQ(run(c, 2, "run").result.parameters_sha256, run(c, 2, "whole").result.parameters_sha256);
}

// SLURM starts a requeued job with the same command line.
TEST_F(Stop, FreshOnceAJob) {
  Config c = config("train.epochs = 2\n");
  auto fresh = [](TrainOptions& options, int) { options.fresh = true; };
  auto fresh_and_stopped = [](TrainOptions& options, int) {
    options.fresh = true;
    stop_after(options, 5);
  };
  run(c, 1, "run");
  ::setenv("SLURM_JOB_ID", "4711", 1);
  EXPECT_EQ(run(c, 1, "run", fresh_and_stopped).result.steps, 6);
  RunOutcome rest = run(c, 1, "run", fresh);
  ::unsetenv("SLURM_JOB_ID");
  EXPECT_EQ(rest.steps.front().step, 7);
  EXPECT_THAT(text_of("run/log.txt"), testing::HasSubstr("--fresh was done by an earlier start"));
  EXPECT_EQ(run(c, 1, "run", fresh).steps.front().step, 1) << "outside of the job it is anew";
}

TEST_F(Stop, AMovedRunDirectoryIsNoTakeover) {
  Config c = config("train.epochs = 3\n");
  expect_error(ExitCode::io, {"step 12"}, [&] {
    run(c, 1, "run", [&](TrainOptions& options, int) {
      options.hooks.after_step = [&](const TrainRecord& record) {
        if (record.step == 6) std::filesystem::rename(folder_ / "run", folder_ / "moved");
      };
    });
  });
  EXPECT_FALSE(has("run/checkpoints")) << "nothing of it is made anew";
}

// Another start has taken the run: this one ends, and leaves what is the other's alone.
TEST_F(Stop, ATakenRunIsLeftAlone) {
  Config c = config("train.epochs = 3\n");
  expect_error(ExitCode::usage, {"taken over"}, [&] {
    run(c, 1, "run", [&](TrainOptions& options, int) {
      options.hooks.after_step = [&](const TrainRecord& record) {
        if (record.step != 6) return;
        std::filesystem::remove_all(folder_ / "run/checkpoints/start-0001");
        std::filesystem::create_directories(folder_ / "run/checkpoints/start-0002/sub");
      };
    });
  });
  EXPECT_FALSE(has("run/summary.json"));
}

TEST_F(Stop, ASecondRunInTheSameFolderIsRefused) {
  Config c = config("train.epochs = 1\n");
  std::string refused;
  run(c, 1, "run", [&](TrainOptions& options, int) {
    options.hooks.after_step = [&](const TrainRecord& record) {
      if (record.step != 2) return;
      expect_error(ExitCode::usage, {"start 1", "--run-dir"}, [&] { run(c, 1, "run"); });
    };
  });
  EXPECT_EQ(summary("run")["state"], "finished") << "the second must not touch the first's files";
}

}  // namespace
}  // namespace trireme::test
