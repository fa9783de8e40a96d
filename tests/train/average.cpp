// The moving average of the parameters: what it is, that it changes nothing of the training, and that it is
// what predictions read.
#include "train/average.h"

#include <gmock/gmock.h>

#include "train/session.h"
#include "train/trained.h"
#include "training_fixture.h"

namespace trireme::test {
namespace {

class Average : public TrainingTest {
 protected:
  static constexpr const char* averaged = "train.epochs = 3\noptimizer.ema_decay = 0.9\n";

  Arenas arenas_of(const Config& c) const {
    return Arenas(
        compile_training(net_graphs(c, open_datasets(c.data).training->sample_shape()).front().training(1))
            .layout);
  }
};

// By hand: 0.9 is reached by (1 + t) / (10 + t) at t = 80 only.
TEST(ParameterAverage, follows_quickly_at_the_start) {
  ArenaLayout layout;
  layout.parameters = {{"w", {2}, 0}};
  layout.parameter_elements = layout.gradient_elements = 16;
  Arenas arenas(layout);
  float* parameters = arenas.parameters.as<float>();
  parameters[0] = 1;
  ParameterAverage average(arenas, 0.9);
  EXPECT_EQ(average.values()[0], 1.0f);
  parameters[0] = 12;
  average.follow(arenas, 1);  // d = 2 / 11
  EXPECT_FLOAT_EQ(average.values()[0], 10.0f);
  parameters[0] = 20;
  average.follow(arenas, 1000);
  EXPECT_FLOAT_EQ(average.values()[0], 11.0f);
  average.swap(arenas);
  EXPECT_FLOAT_EQ(parameters[0], 11.0f);
  EXPECT_EQ(average.values()[0], 20.0f);
}

TEST_F(Average, leaves_training_as_it_was_and_validates_another_net) {
  for (int ranks : {1, 2}) {
    std::string n = std::to_string(ranks);
    RunOutcome plain = run(config("train.epochs = 3\n"), ranks, "plain" + n);
    RunOutcome with = run(config(averaged), ranks, "averaged" + n);
    EXPECT_EQ(with.result.parameters_sha256, plain.result.parameters_sha256);
    EXPECT_EQ(with.losses(), plain.losses());
    EXPECT_NE(with.validations[0].loss, plain.validations[0].loss);
  }
}

TEST_F(Average, resumes_to_the_bit) {
  RunOutcome whole = run(config(averaged), 1, "whole");
  run(config(averaged), 1, "parts", [](TrainOptions& options, int) { stop_after(options, 5); });
  RunOutcome rest = run(config(averaged), 1, "parts");
  EXPECT_EQ(rest.result.validation->loss, whole.result.validation->loss);
}

TEST_F(Average, is_what_predictions_load) {
  Config c = config(averaged);
  run(c, 1, "run");
  Trained trained = open_trained(folder_ / "run");
  EXPECT_EQ(trained.step(), 12);
  EXPECT_EQ(trained.config, c);
  EXPECT_TRUE(trained.has_average());
  Arenas averages = arenas_of(c), parameters = arenas_of(c);
  load_trained(trained, averages);
  load_trained(trained, parameters, false);
  const ArenaTensor& weight = averages.layout.parameters.front();
  float a = averages.parameters.as<float>()[weight.offset];
  float b = parameters.parameters.as<float>()[weight.offset];
  EXPECT_NE(a, b);
  EXPECT_NEAR(a, b, 0.2);
  // By the folder of one checkpoint too.
  EXPECT_EQ(open_trained(folder_ / "run/checkpoints/step-0000000008").step(), 8);
  Trained plain = [&] {
    run(config("train.epochs = 1\n"), 1, "plain");
    return open_trained(folder_ / "plain");
  }();
  EXPECT_FALSE(plain.has_average());
  load_trained(plain, averages);
  c.model.hidden = {17};
  Arenas other = arenas_of(c);
  expect_error(ExitCode::bad_data, {"weight"}, [&] { load_trained(trained, other); });
}

TEST_F(Average, nothing_to_load) {
  expect_error(ExitCode::no_input, {"nowhere"}, [&] { open_trained(folder_ / "nowhere"); });
  std::filesystem::create_directories(folder_ / "empty");
  expect_error(ExitCode::no_input, {"empty", "no checkpoint"}, [&] { open_trained(folder_ / "empty"); });
}

TEST_F(Average, is_asked_for_when_the_run_was_started) {
  run(config("train.epochs = 1\n"), 1, "run");
  expect_error(ExitCode::bad_data, {"average"}, [&] { run(config(averaged), 1, "run"); });
}

}  // namespace
}  // namespace trireme::test
