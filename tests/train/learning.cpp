// A run on one rank: that it learns, what it writes, how it ends.
#include <gmock/gmock.h>

#include <cmath>

#include "training_fixture.h"

namespace trireme::test {
namespace {

class Learning : public TrainingTest {};

std::vector<nlohmann::json> lines(const std::string& text) {
  std::vector<nlohmann::json> found;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) found.push_back(nlohmann::json::parse(line));
  return found;
}

TEST_F(Learning, overfits_32_samples) {
  for (const char* optimizer : {"optimizer.kind = \"sgd\"\n", "optimizer.kind = \"adamw\"\n"}) {
    Config c = config(std::string("train.epochs = 100\n") + optimizer, 32, 32);
    if (c.optimizer.kind == "adamw") c.optimizer.learning_rate = 0.01;
    c.data.validation = c.data.train;
    RunOutcome outcome = run(c, 1, c.optimizer.kind);
    EXPECT_LT(outcome.steps.back().loss, 0.02) << optimizer;
    EXPECT_EQ(outcome.result.validation->accuracy, 1.0) << optimizer;
  }
}

// Batch norm and dropout on the way; the hash is of the parameters, the validation reads the running
// statistics.
TEST_F(Learning, recompute_changes_no_bit) {
  auto with = [&](const std::string& policy) {
    Config c = config("train.epochs = 2\ntrain.recompute = \"" + policy + "\"\n" + batch_norm_model);
    return run(c, 2, policy);
  };
  RunOutcome none = with("none");
  for (const char* policy : {"layer", "sqrt"}) {
    RunOutcome again = with(policy);
    EXPECT_EQ(again.result.parameters_sha256, none.result.parameters_sha256) << policy;
    EXPECT_EQ(again.result.validation->loss, none.result.validation->loss) << policy;
    EXPECT_EQ(again.losses(), none.losses()) << policy;
  }
}

TEST_F(Learning, writes_the_run_directory) {
  RunOutcome outcome = run(config("train.epochs = 3\ntrain.log_every_steps = 2\n", 64, 16), 1, "run");
  EXPECT_EQ(outcome.result.state, Outcome::finished);
  EXPECT_EQ(outcome.result.steps, 12);
  nlohmann::json s = summary("run");
  EXPECT_EQ(s["state"], "finished");
  EXPECT_EQ(s["steps"], 12);
  EXPECT_EQ(s["epochs"], 3);
  EXPECT_EQ(s["parameters"], 64 * 16 + 16 + 16 * 4 + 4);
  EXPECT_EQ(s["parameters_sha256"], outcome.result.parameters_sha256);
  EXPECT_GT(s["train_seconds"].get<double>(), 0);
  EXPECT_GT(s["samples_per_second"].get<double>(), 0);
  EXPECT_GT(s["startup_seconds"].get<double>(), 0);
  EXPECT_EQ(s["validation"]["step"], 12);
  EXPECT_EQ(s["validation"]["epoch"], 3);

  std::vector<int> steps, validated, saved;
  for (const nlohmann::json& line : lines(text_of("run/metrics.jsonl"))) {
    if (line["event"] == "checkpoint") {
      EXPECT_EQ(line["state"], "written");
      EXPECT_GT(line["bytes"], 1000);
      EXPECT_GE(line["stall_seconds"], 0);
      saved.push_back(line["step"]);
      continue;
    }
    (line["event"] == "train" ? steps : validated).push_back(line["step"]);
    if (line["event"] == "train" && line["step"] == 6) {
      EXPECT_EQ(line["epoch"], 2);
      EXPECT_EQ(line["samples"], 96);
      EXPECT_EQ(line["loss"], outcome.steps[5].loss);
    }
  }
  EXPECT_THAT(steps, testing::ElementsAre(2, 4, 6, 8, 10, 12));
  EXPECT_THAT(validated, testing::ElementsAre(4, 8, 12));
  EXPECT_THAT(saved, testing::ElementsAre(4, 8, 12));
  EXPECT_EQ(s["checkpoint_step"], 12);
  EXPECT_EQ(s["checkpoints_written"], 3);
  EXPECT_EQ(s["checkpoints_failed"], 0);
  EXPECT_THAT(text_of("run/log.txt"), testing::HasSubstr("finished after 12 steps"));
  EXPECT_TRUE(has("run/checkpoints/step-0000000012/manifest.json"));
}

TEST_F(Learning, resolved_config_reproduces_the_run) {
  RunOutcome first = run(config("train.epochs = 2\n"), 1, "first");
  Config again = load_config((folder_ / "first/config.toml").string());
  EXPECT_EQ(run(again, 1, "again").result.parameters_sha256, first.result.parameters_sha256);
  again.run.seed = 2;
  EXPECT_NE(run(again, 1, "other").result.parameters_sha256, first.result.parameters_sha256);
}

TEST_F(Learning, validates_when_asked) {
  Config c = config("train.epochs = 5\ntrain.validate_every_epochs = 2\n");
  RunOutcome outcome = run(c, 1, "every2");
  std::vector<int64_t> epochs;
  for (const ValidationRecord& record : outcome.validations) epochs.push_back(record.epoch);
  EXPECT_THAT(epochs, testing::ElementsAre(2, 4, 5));
  c.train.validate_every_epochs = 0;
  EXPECT_EQ(run(c, 1, "never").validations.size(), 1u);
  c.data.validation = "";
  EXPECT_TRUE(run(c, 1, "without").validations.empty());
  EXPECT_TRUE(summary("without")["validation"].is_null());
}

// A model has learned to read pixels as the training data's mean and deviation scale them.
TEST_F(Learning, validation_is_normalised_like_the_training_data) {
  Config c = config("train.epochs = 2\n");
  RunOutcome same = run(c, 1, "same");
  write_toy_images(folder_ / "other.h5", {.count = 37, .seed = 2, .mean = 0.1});
  c.data.validation = (folder_ / "other.h5").string();
  EXPECT_EQ(run(c, 1, "other").validations.back().loss, same.validations.back().loss);
}

TEST_F(Learning, steps_are_a_limit) {
  RunOutcome outcome = run(config("train.epochs = 5\ntrain.steps = 7\n"), 1, "run");
  EXPECT_EQ(outcome.result.steps, 7);
  EXPECT_EQ(outcome.validations.back().step, 7);
}

TEST_F(Learning, clips) {
  std::string rate = "optimizer.momentum = 0.0\noptimizer.learning_rate = 1.0\ntrain.steps = 1\n";
  Config c = config(rate + "train.gradient_clip_norm = 0.001\n");
  RunOutcome clipped = run(c, 1, "clipped");
  ASSERT_TRUE(clipped.steps[0].gradient_norm.has_value());
  EXPECT_GT(*clipped.steps[0].gradient_norm, 0.01);
  // A step of length 0.001 changes hardly anything: the second loss is the first one nearly.
  c.train.steps = 3;
  RunOutcome three = run(c, 1, "three");
  EXPECT_NEAR(three.steps[2].loss, three.steps[0].loss, 0.3);
  Config unclipped = config(rate);
  EXPECT_FALSE(run(unclipped, 1, "unclipped").steps[0].gradient_norm.has_value());
}

TEST_F(Learning, learning_rate_follows_the_schedule) {
  RunOutcome outcome =
      run(config("train.epochs = 2\nschedule.kind = \"cosine\"\nschedule.warmup_steps = 1\n"), 1, "run");
  EXPECT_NEAR(outcome.steps[0].learning_rate, 0.05, 1e-12);
  EXPECT_NEAR(outcome.steps[1].learning_rate, 0.1, 1e-12);
  EXPECT_NEAR(outcome.steps[7].learning_rate, 0.0, 1e-12);
}

TEST_F(Learning, a_finished_run_is_left_alone) {
  Config c = config("train.epochs = 2\n");
  run(c, 2, "run");
  std::string before = text_of("run/summary.json");
  RunOutcome again = run(c, 2, "run");
  EXPECT_TRUE(again.result.was_finished);
  EXPECT_TRUE(again.steps.empty());
  EXPECT_EQ(text_of("run/summary.json"), before);
  EXPECT_THAT(text_of("run/log.txt"), testing::HasSubstr("is finished already"));
}

TEST_F(Learning, more_epochs_go_on_from_where_it_ended) {
  Config c = config("train.epochs = 2\n");
  run(c, 1, "run");
  c.train.epochs = 3;
  RunOutcome more = run(c, 1, "run");
  EXPECT_EQ(more.steps.size(), 4u);
  EXPECT_EQ(more.steps.front().step, 9);
  EXPECT_EQ(summary("run")["epochs"], 3);
}

TEST_F(Learning, fresh_starts_anew) {
  Config c = config("train.epochs = 2\n");
  RunOutcome first = run(c, 1, "run");
  RunOutcome again = run(c, 1, "run", [](TrainOptions& options, int) { options.fresh = true; });
  EXPECT_EQ(again.steps.size(), 8u);
  EXPECT_EQ(again.result.parameters_sha256, first.result.parameters_sha256);
  EXPECT_EQ(lines(text_of("run/metrics.jsonl")).size(),
            5u);  // one of training (the end), two of validation, two of checkpoints
}

TEST_F(Learning, both_backends_train_alike) {
  Config c = config("train.epochs = 2\n" + std::string(batch_norm_model));
  c.model.layer[4].rate = 0;
  RunOutcome cpu = run(c, 1, "cpu");
  c.train.backend = "reference";
  RunOutcome reference = run(c, 1, "reference");
  ASSERT_EQ(cpu.steps.size(), reference.steps.size());
  for (size_t i = 0; i < cpu.steps.size(); ++i) {
    EXPECT_NEAR(cpu.steps[i].loss, reference.steps[i].loss, 1e-3 * (1 + reference.steps[i].loss)) << i;
  }
}

}  // namespace
}  // namespace trireme::test
