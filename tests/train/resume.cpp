// Resume equals no interruption, to the bit.
#include <gmock/gmock.h>

#include "training_fixture.h"

namespace trireme::test {
namespace {

class Resume : public TrainingTest {
 protected:
  // A run that is stopped by request after `stops` steps each and started again, against one that is not.
  void expect_equal(const Config& c, int ranks, std::initializer_list<int64_t> stops) {
    RunOutcome whole = run(c, ranks, "whole");
    std::vector<double> losses;
    for (int64_t stop : stops) {
      // Only the last rank is asked: the others must learn of it.
      RunOutcome part = run(c, ranks, "parts", [&](TrainOptions& options, int rank) {
        if (rank == ranks - 1) stop_after(options, stop);
      });
      EXPECT_EQ(part.result.state, Outcome::stopped);
      EXPECT_EQ(summary("parts")["state"], "stopped");
      for (double loss : part.losses()) losses.push_back(loss);
    }
    RunOutcome rest = run(c, ranks, "parts");
    for (double loss : rest.losses()) losses.push_back(loss);
    EXPECT_EQ(rest.result.state, Outcome::finished);
    EXPECT_EQ(losses, whole.losses());
    EXPECT_EQ(rest.result.parameters_sha256, whole.result.parameters_sha256);
    EXPECT_EQ(rest.result.validation->loss, whole.result.validation->loss);
    EXPECT_EQ(summary("parts")["parameters_sha256"], summary("whole")["parameters_sha256"]);
    EXPECT_EQ(summary("parts")["steps"], summary("whole")["steps"]);
    expect_same_metrics();
  }

  // Each step once, with the same losses. Checkpoints are told of when they are written, whenever that is.
  void expect_same_metrics() {
    auto events = [](const std::string& text) {
      std::vector<std::string> found;
      std::istringstream stream(text);
      for (std::string line; std::getline(stream, line);) {
        nlohmann::json json = nlohmann::json::parse(line);
        if (json["event"] == "checkpoint") continue;
        found.push_back(json["event"].get<std::string>() + json["step"].dump() + " " + json["loss"].dump());
      }
      return found;
    };
    EXPECT_EQ(events(text_of("parts/metrics.jsonl")), events(text_of("whole/metrics.jsonl")));
  }
};

const char* const every_step = "train.epochs = 4\ntrain.log_every_steps = 1\n";

TEST_F(Resume, sgd_mid_epoch) { expect_equal(config(every_step), 1, {6}); }

TEST_F(Resume, adamw_mid_epoch_on_two_ranks) {
  expect_equal(
      config(std::string(every_step) + "optimizer.kind = \"adamw\"\noptimizer.learning_rate = 0.01\n"), 2,
      {3, 9});
}

TEST_F(Resume, batch_norm_dropout_augmentation_schedule) {
  Config c = config(std::string(every_step) +
                        "data.transform.random_crop_padding = 1\ndata.transform.horizontal_flip = true\n"
                        "schedule.kind = \"one_cycle\"\noptimizer.nesterov = true\n" +
                        batch_norm_model,
                    61, 17);
  expect_equal(c, 1, {1, 7, 13});
}

TEST_F(Resume, batch_norm_on_three_ranks_with_an_uneven_last_batch) {
  Config c = config(std::string(every_step) + batch_norm_model, 61, 17);
  expect_equal(c, 3, {5, 8});
}

// A stop that falls on the end of an epoch: the validation due there is left to the next start.
TEST_F(Resume, at_the_end_of_an_epoch) { expect_equal(config(every_step), 2, {4, 8}); }

// A stop on the very last step: training is done but its validation is not.
TEST_F(Resume, before_the_last_validation) {
  Config c = config(every_step);
  RunOutcome stopped = run(c, 1, "parts", [](TrainOptions& options, int) { stop_after(options, 16); });
  EXPECT_EQ(stopped.result.state, Outcome::stopped);
  RunOutcome rest = run(c, 1, "parts");
  EXPECT_EQ(rest.result.state, Outcome::finished);
  EXPECT_TRUE(rest.steps.empty());
  ASSERT_EQ(rest.validations.size(), 1u);
  EXPECT_EQ(rest.validations[0].step, 16);
}

TEST_F(Resume, a_crash_goes_back_to_the_newest_checkpoint) {
  struct Crash {};
  Config c = config(std::string(every_step) + "checkpoint.every_steps = 3\noptimizer.kind = \"adamw\"\n");
  for (int ranks : {1, 2}) {
    std::string name = "crashed" + std::to_string(ranks);
    auto crash = [](TrainOptions& options, int rank) {
      auto earlier = options.hooks.after_step;
      options.hooks.after_step = [earlier, rank](const TrainRecord& record) {
        if (earlier) earlier(record);
        if (record.step == 11 && rank == 0) throw std::runtime_error("pulled the plug");
      };
    };
    EXPECT_THROW(run(c, ranks, name, crash), std::runtime_error);
    EXPECT_EQ(summary(name)["state"], "failed");
    EXPECT_THAT(summary(name)["error"].get<std::string>(), testing::HasSubstr("pulled the plug"));
    RunOutcome rest = run(c, ranks, name);
    EXPECT_EQ(rest.steps.front().step, 10);  // 9 is a multiple of 3
    EXPECT_EQ(rest.result.parameters_sha256,
              run(c, ranks, "whole" + std::to_string(ranks)).result.parameters_sha256);
    EXPECT_EQ(summary(name)["state"], "finished");
  }
}

TEST_F(Resume, damaged_checkpoints_are_passed_over) {
  Config c = config("train.epochs = 4\n");
  RunOutcome whole = run(c, 1, "whole");
  run(c, 1, "run");
  std::filesystem::remove(folder_ / "run/summary.json");
  std::ofstream(folder_ / "run/checkpoints/step-0000000016/state-0001-0.h5", std::ios::in | std::ios::out)
      .write("rubbish", 7);
  RunOutcome again = run(c, 1, "run");
  EXPECT_EQ(again.steps.front().step, 13);
  EXPECT_EQ(again.result.parameters_sha256, whole.result.parameters_sha256);
  EXPECT_THAT(text_of("run/log.txt"), testing::HasSubstr("step-0000000016"));
}

TEST_F(Resume, on_another_number_of_ranks) {
  Config c = config(every_step, 61, 17);
  RunOutcome whole = run(c, 1, "whole");
  run(c, 3, "run", [](TrainOptions& options, int) { stop_after(options, 6); });
  RunOutcome rest = run(c, 2, "run");
  EXPECT_NEAR(rest.steps.back().loss, whole.steps.back().loss, 1e-4);
  EXPECT_EQ(rest.steps.back().samples, whole.steps.back().samples);
}

TEST_F(Resume, another_learning_rate_is_fine) {
  Config c = config("train.epochs = 2\n");
  run(c, 1, "run", [](TrainOptions& options, int) { stop_after(options, 5); });
  c.optimizer.learning_rate = 0.01;
  EXPECT_EQ(run(c, 1, "run").steps.back().learning_rate, 0.01);
}

TEST_F(Resume, another_model_is_refused) {
  Config c = config("train.epochs = 2\n");
  run(c, 1, "run");
  std::string before = text_of("run/summary.json");
  c.train.epochs = 3;
  c.model.hidden = {17};
  expect_error(ExitCode::bad_data, {"linear", "weight"}, [&] { run(c, 1, "run"); });
  c.model.hidden = {16};
  c.optimizer.kind = "adamw";
  expect_error(ExitCode::bad_data, {"first_moment", "adamw", "momentum"}, [&] { run(c, 1, "run"); });
  EXPECT_EQ(text_of("run/summary.json"), before);  // the run that was there is unharmed
  EXPECT_EQ(run(c, 1, "run", [](TrainOptions& options, int) { options.fresh = true; }).result.steps, 12);
}

TEST_F(Resume, keeps_as_many_checkpoints_as_told) {
  Config c = config("train.epochs = 6\ncheckpoint.keep = 2\n");
  run(c, 1, "run");
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "run/checkpoints")) {
    std::string name = entry.path().filename();
    if (name.starts_with("step-")) names.push_back(name);
  }
  EXPECT_THAT(names, testing::UnorderedElementsAre("step-0000000020", "step-0000000024"));
}

TEST_F(Resume, keeps_the_best_and_multiples_too) {
  Config c =
      config("train.epochs = 6\ncheckpoint.keep = 1\ncheckpoint.keep_every = 8\ncheckpoint.keep_best = 1\n");
  RunOutcome outcome = run(c, 1, "run");
  auto best = std::ranges::min_element(outcome.validations, {}, &ValidationRecord::loss);
  for (int64_t step : {int64_t{8}, int64_t{16}, int64_t{24}, best->step}) {
    EXPECT_TRUE(has(fmt::format("run/checkpoints/step-{:010}/manifest.json", step))) << step;
  }
  EXPECT_FALSE(has("run/checkpoints/step-0000000004/manifest.json") && best->step != 4);
  c.checkpoint.metric = "perplexity";
  run(c, 1, "none");
  EXPECT_THAT(text_of("none/log.txt"), testing::HasSubstr("checkpoint.metric = \"perplexity\" is no figure"));
}

}  // namespace
}  // namespace trireme::test
