// A loss that is no number: noticed before the update, named, and undone where that is asked for.
#include "train/divergence.h"

#include "data/sampler.h"

#include <gmock/gmock.h>

#include <cmath>

#include "training_fixture.h"

namespace trireme::test {
namespace {

using testing::HasSubstr;

class Divergence : public TrainingTest {
 protected:
  std::string error(const std::string& name) const { return summary(name)["error"].get<std::string>(); }
};

// The update of step 1 makes weights of 1e30, with which step 2 overflows in the first product that meets
// them.
TEST_F(Divergence, names_step_tensor_and_rank_and_leaves_parameters_as_they_were) {
  for (int ranks : {1, 2}) {
    std::string name = "run" + std::to_string(ranks);
    Config c =
        config("optimizer.learning_rate = 1e30\noptimizer.momentum = 0.0\ncheckpoint.every_steps = 1\n");
    expect_error(ExitCode::internal, {"step 2", "loss is", "linear2", "made by linear", "on rank 0"},
                 [&] { run(c, ranks, name); });
    EXPECT_EQ(summary(name)["state"], "failed");
    EXPECT_EQ(summary(name)["steps"], 1);
    // The newest checkpoint is of the last good step, and loads.
    EXPECT_TRUE(has(name + "/checkpoints/step-0000000001/manifest.json"));
    EXPECT_FALSE(has(name + "/checkpoints/step-0000000002"));
  }
}

// Infinite parameters: nothing in the data or the program is at fault.
TEST_F(Divergence, looks_at_parameters_first) {
  Config c =
      config("optimizer.learning_rate = 3e38\noptimizer.momentum = 0.0\noptimizer.weight_decay = 1e3\n");
  c.data.validation = "";
  expect_error(ExitCode::internal, {"step 2", "first in parameter 'linear1.weight'"},
               [&] { run(c, 1, "run"); });
}

// A relu takes nan for 0, so the loss looks well; the gradient of the first weights does not.
// On three ranks the sample lies in the second one's share.
TEST_F(Divergence, names_the_sample_that_is_no_number) {
  for (int ranks : {1, 3}) {
    Config c = config("data.shuffle = false\n", 18, 9);
    run_ranks(ranks, [&](Communicator& communicator) {
      Session session(c, communicator);
      Range own = slice_of(9, communicator.rank(), ranks);
      std::vector<float> images(own.size() * 64, 0.5f);
      std::vector<int32_t> labels(own.size(), 1);
      if (own.begin <= 4 && 4 < own.end) images[(4 - own.begin) * 64 + 7] = std::nanf("");
      Batch batch;
      batch.features = images.data();
      batch.targets = labels.data();
      batch.count = static_cast<int64_t>(own.size());
      batch.global_count = 9;
      batch.first = static_cast<int64_t>(own.begin);
      uint64_t before = session.learner->parameters_fingerprint();
      StepOutcome outcome = session.learner->step(batch, {.step = 6, .updates = 6});
      EXPECT_FALSE(outcome.finite);
      EXPECT_FALSE(outcome.applied);
      EXPECT_EQ(session.learner->parameters_fingerprint(), before);
      std::string why = explain_divergence(session, batch, 6, outcome);
      EXPECT_THAT(why, HasSubstr("step 7: a gradient is no finite number"));
      EXPECT_THAT(why, HasSubstr("first in input 'images' (sample 4 of the step's batch) on rank " +
                                 std::to_string(ranks / 2)));
      EXPECT_THAT(why, HasSubstr("mend " + c.data.train));
      EXPECT_EQ(session.learner->parameters_fingerprint(), before);
    });
  }
}

// What only the exchange has made infinite is told by its own name.
TEST_F(Divergence, says_when_the_sum_over_ranks_overflows) {
  Config c = config("", 16, 2);
  run_ranks(2, [&](Communicator& communicator) {
    Session session(c, communicator);
    Loader loader = Loader::training(*session.data.training, session.config.data,
                                     {1, communicator.rank(), communicator.size(), 0, 1});
    Batch batch = *loader.next();
    StepOutcome outcome = session.learner->step(batch, {});
    EXPECT_TRUE(outcome.finite);
    outcome.finite = false;
    Arenas& arenas = session.learner->nets()[0]->arenas();
    arenas.gradients.as<float>()[arenas.layout.parameter("linear2.weight").offset] = HUGE_VALF;
    std::string why = explain_divergence(session, batch, 0, outcome);
    EXPECT_THAT(why, HasSubstr("step 1: a gradient is no finite number"));
    EXPECT_THAT(why, HasSubstr("their sum over ranks is not: gradient of 'linear2.weight'"));
  });
}

// Where the optimizer is sharded, only one rank has the sum: all say the same nevertheless.
TEST_F(Divergence, says_so_on_all_ranks_where_one_has_the_sum) {
  Config c = config("model.hidden = [160, 100]\nparallel.allreduce.shard_optimizer = true\n", 16, 2);
  run_ranks(2, [&](Communicator& communicator) {
    Session session(c, communicator);
    Loader loader = Loader::training(*session.data.training, session.config.data,
                                     {1, communicator.rank(), communicator.size(), 0, 1});
    Batch batch = *loader.next();
    StepOutcome outcome = session.learner->step(batch, {});
    outcome.finite = false;
    Arenas& arenas = session.learner->nets()[0]->arenas();
    if (communicator.rank() == 0) arenas.gradients.as<float>()[0] = HUGE_VALF;
    std::string why = explain_divergence(session, batch, 0, outcome);
    EXPECT_THAT(why, HasSubstr("their sum over ranks is not: gradient of '" +
                               arenas.layout.parameters[0].name + "'"));
  });
}

TEST_F(Divergence, rolls_back_to_the_newest_checkpoint_at_half_the_rate) {
  for (int ranks : {1, 2}) {
    std::string name = "run" + std::to_string(ranks);
    run(config("train.epochs = 2\n"), ranks, name);
    Config c = config(
        "train.epochs = 4\ntrain.on_nan = \"rollback\"\noptimizer.learning_rate = 4e37\n"
        "optimizer.momentum = 0.0\ncheckpoint.every_steps = 100\n");
    // Each try overflows at its second step; after three rollbacks the run gives up.
    expect_error(ExitCode::internal, {"3 rollbacks"}, [&] { run(c, ranks, name); });
    std::string log = text_of(name + "/log.txt");
    EXPECT_THAT(log, HasSubstr("ROLLBACK 1 of 3 to step 8"));
    EXPECT_THAT(log, HasSubstr("ROLLBACK 3 of 3 to step 8"));
    EXPECT_THAT(log, HasSubstr("0.125 times"));
    EXPECT_TRUE(has(name + "/checkpoints/step-0000000008/manifest.json"));
  }
}

// Decay multiplies weights by 1 - rate * weight_decay: -7 at first, -3 after one rollback, both of which
// overflow; -1 after two, which does not. With nothing saved so far the run begins anew, as if it had been
// told a quarter of the rate; a later start keeps to it.
TEST_F(Divergence, goes_on_from_the_very_start_once_the_rate_is_low_enough) {
  std::string keys =
      "train.epochs = 1\ntrain.on_nan = \"rollback\"\ntrain.log_every_steps = 1\n"
      "optimizer.momentum = 0.0\noptimizer.weight_decay = 40.0\n";
  Config c = config(keys + "optimizer.learning_rate = 0.2\n", 800, 8);
  for (int ranks : {1, 2}) {
    std::string name = "run" + std::to_string(ranks);
    RunOutcome outcome = run(c, ranks, name);
    EXPECT_EQ(outcome.result.state, Outcome::finished);
    EXPECT_EQ(outcome.result.steps, 100);
    std::string log = text_of(name + "/log.txt");
    EXPECT_THAT(log, HasSubstr("ROLLBACK 2 of 3 to step 0"));
    EXPECT_THAT(log, testing::Not(HasSubstr("ROLLBACK 3")));
    RunOutcome quarter =
        run(config(keys + "optimizer.learning_rate = 0.05\n", 800, 8), ranks, "quarter" + name);
    EXPECT_EQ(outcome.result.parameters_sha256, quarter.result.parameters_sha256);

    std::istringstream metrics(text_of(name + "/metrics.jsonl"));
    int64_t step = 0;
    for (std::string line; std::getline(metrics, line);) {
      nlohmann::json json = nlohmann::json::parse(line);
      if (json["event"] != "train") continue;
      EXPECT_EQ(json["step"], ++step);  // each step once
      EXPECT_EQ(json["learning_rate"], 0.05);
      EXPECT_EQ(json["learning_rate_factor"], 0.25);
    }
    EXPECT_EQ(step, 100);
    Config more = c;
    more.train.epochs = 2;
    EXPECT_EQ(run(more, ranks, name).steps.front().learning_rate, 0.05);
  }
}

}  // namespace
}  // namespace trireme::test
