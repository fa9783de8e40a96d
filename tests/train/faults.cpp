// What goes wrong, and that it does not hang.
#include <gmock/gmock.h>
#include <unistd.h>

#include "support/tiny_disk.h"
#include "training_fixture.h"

namespace trireme::test {
namespace {

class Faults : public TrainingTest {};

TEST_F(Faults, divergence_stops_at_its_step_and_keeps_the_last_good_checkpoint) {
  for (int ranks : {1, 2}) {
    std::string name = "run" + std::to_string(ranks);
    Config c = config("train.epochs = 3\n");
    run(c, ranks, name);
    c.train.epochs = 50;
    c.optimizer.learning_rate = 1e30;
    expect_error(ExitCode::internal, {"step 1", "loss is", "learning_rate"}, [&] { run(c, ranks, name); });
    EXPECT_EQ(summary(name)["state"], "failed");
    EXPECT_THAT(summary(name)["error"].get<std::string>(), testing::HasSubstr("diverged"));
    EXPECT_TRUE(has(name + "/checkpoints/step-0000000012/manifest.json"));
    c.optimizer.learning_rate = 0.1;
    c.train.epochs = 4;
    EXPECT_EQ(run(c, ranks, name).steps.front().step, 13);
  }
}

TEST_F(Faults, no_checkpoint_of_parameters_that_are_no_numbers) {
  // One step an epoch: the update makes nan, and the checkpoint is due before the next loss would tell.
  Config c = config(
      "train.epochs = 2\noptimizer.learning_rate = 3e38\noptimizer.momentum = 0.0\noptimizer.weight_decay = "
      "1e3\n",
      16, 16);
  c.data.validation = "";
  EXPECT_THROW(run(c, 1, "run"), DivergenceError);
  EXPECT_FALSE(has("run/checkpoints/step-0000000001"));
  EXPECT_THAT(summary("run")["error"].get<std::string>(), testing::HasSubstr("step 1: a parameter"));
}

TEST_F(Faults, damaged_data_takes_all_ranks_down_and_names_the_file) {
  Config c = config("train.epochs = 2\ndata.shuffle = false\n", 64, 16);
  {  // flip bytes of the last chunk's pixels: rank 2 of 3 meets it first
    std::fstream file(c.data.train, std::ios::in | std::ios::out | std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    std::vector<uint8_t> pixels(16 * 64);
    h5::Handle set = h5::open_dataset(h5::open_file(c.data.train), "/images");
    h5::read_rows(set, DType::uint8, 48, 16, pixels.data());
    size_t at = text.str().find(std::string(pixels.begin(), pixels.end()));
    ASSERT_NE(at, std::string::npos);
    file.seekp(static_cast<std::streamoff>(at + 1000));
    file.put(static_cast<char>(pixels[1000] ^ 1));
  }
  for (int ranks : {1, 3}) {
    std::string name = "run" + std::to_string(ranks);
    expect_error(ExitCode::bad_data, {c.data.train}, [&] { run(c, ranks, name); });
    EXPECT_EQ(summary(name)["state"], "failed");
    EXPECT_THAT(summary(name)["error"].get<std::string>(), testing::HasSubstr(c.data.train));
  }
}

TEST_F(Faults, bad_files_are_found_before_the_first_step) {
  Config c = config();
  std::ofstream(folder_ / "text.h5") << "no HDF5";
  c.data.validation = (folder_ / "text.h5").string();
  expect_error(ExitCode::bad_data, {"text.h5"}, [&] { run(c, 2, "run"); });
  EXPECT_EQ(summary("run")["state"], "failed");
  write_toy_images(folder_ / "larger.h5", {.count = 8, .side = 9});
  c.data.validation = (folder_ / "larger.h5").string();
  expect_error(ExitCode::bad_data, {"larger.h5", "[9, 9, 1]", "[8, 8, 1]"}, [&] { run(c, 1, "run"); });
}

TEST_F(Faults, ranks_that_were_given_different_configs) {
  Config c = config();
  expect_error(ExitCode::internal, {"configs of rank 1"}, [&] {
    run_ranks(2, [&](Communicator& communicator) {
      Config own = c;
      own.optimizer.learning_rate = communicator.rank() == 1 ? 0.2 : 0.1;
      TrainOptions options;
      options.run_directory = folder_ / "run";
      options.console = nullptr;
      train(own, communicator, options);
    });
  });
}

// The disk fills up: training goes on, but a run whose last state is not safe has not finished.
TEST_F(Faults, a_full_disk_costs_a_warning_until_the_end) {
  TinyDisk disk(folder_ / "disk");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  Config c = config("train.epochs = 3\nmodel.hidden = [3000]\n");  // a checkpoint of more than 1 MiB
  int steps = 0;
  expect_error(ExitCode::io, {"step 12", "checkpoint"}, [&] {
    run(c, 2, "disk/run", [&](TrainOptions& options, int rank) {
      if (rank == 0) options.hooks.after_step = [&](const TrainRecord&) { ++steps; };
    });
  });
  EXPECT_EQ(steps, 12);
  EXPECT_THAT(text_of("disk/run/log.txt"), testing::HasSubstr("CHECKPOINT OF STEP 4 WAS NOT WRITTEN"));
  EXPECT_EQ(summary("disk/run")["state"], "failed");
}

// Full for a while: no checkpoint, no metrics, and still the run goes on, tells of it, and ends in the same
// bits.
TEST_F(Faults, a_disk_that_is_full_for_a_while) {
  TinyDisk disk(folder_ / "disk");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  Config c =
      config("train.epochs = 6\ntrain.log_every_steps = 1\nmodel.hidden = [300]\ncheckpoint.keep = 1\n");
  std::string whole = run(c, 2, "whole").result.parameters_sha256;
  std::filesystem::path filler = folder_ / "disk/filler";
  RunOutcome outcome = run(c, 2, "disk/run", [&](TrainOptions& options, int rank) {
    if (rank != 0) return;
    options.hooks.after_step = [&](const TrainRecord& record) {
      if (record.step == 6) {
        std::ofstream file(filler, std::ios::binary);
        while (file << std::string(1000, 'x') << std::flush) {
        }
      }
      if (record.step == 19) std::filesystem::remove(filler);
    };
  });
  EXPECT_EQ(outcome.result.state, Outcome::finished);
  EXPECT_EQ(outcome.result.parameters_sha256, whole);
  EXPECT_GE(summary("disk/run")["checkpoints_failed"], 2);
  EXPECT_EQ(summary("disk/run")["checkpoint_step"], 24);
  EXPECT_THAT(text_of("disk/run/metrics.jsonl"), testing::HasSubstr("\"step\":24"));
}

TEST_F(Faults, a_run_directory_that_cannot_be) {
  std::ofstream(folder_ / "file") << "in the way";
  expect_error(ExitCode::io, {"file"}, [&] { run(config(), 1, "file/run"); });
}

}  // namespace
}  // namespace trireme::test
