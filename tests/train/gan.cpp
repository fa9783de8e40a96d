// A GAN: two nets that learn against each other in one loop.
#include <gmock/gmock.h>

#include <cmath>

#include "train/noise.h"
#include "train/session.h"
#include "training_fixture.h"

namespace trireme::test {
namespace {

class Gan : public TrainingTest {
 protected:
  Config gan(const std::string& extra = "", int64_t samples = 24, int64_t batch = 8) {
    return config(
        "train.epochs = 2\ndata.transform.normalize = false\noptimizer.kind = \"adam\"\n"
        "optimizer.learning_rate = 0.002\n" +
            extra + "[model]\nkind = \"gan\"\nlatent = 5\nwidth = 4\n",
        samples, batch);
  }
};

TEST(Noise, depends_on_step_and_sample_alone) {
  std::vector<float> whole(6 * 5), part(2 * 5);
  draw_noise(3, 7, 10, 6, 5, whole.data());
  draw_noise(3, 7, 13, 2, 5, part.data());
  EXPECT_EQ(part, std::vector<float>(whole.begin() + 15, whole.begin() + 25));
  draw_noise(3, 8, 13, 2, 5, part.data());
  EXPECT_NE(part[0], whole[15]);
}

// The losses of the first step against the two graphs driven by hand on the same noise.
TEST_F(Gan, losses_are_those_of_the_two_programs) {
  Config c = gan();
  run_ranks(1, [&](Communicator& communicator) {
    Session session(c, communicator);
    SampleShape sample = session.data.training->sample_shape();
    Loader loader = Loader::training(*session.data.training, c.data, {1, 0, 1, 0, 1});
    Batch batch = *loader.next();
    std::vector<NetGraphs> graphs = net_graphs(c, sample);
    Program g = compile_training(graphs[0].training(8)), d = compile_training(graphs[1].training(8));
    Arenas ga(g.layout), da(d.layout);
    for (auto [to, net] : {std::pair{&ga, 0}, std::pair{&da, 1}}) {
      const Arenas& from = session.learner->nets()[static_cast<size_t>(net)]->arenas();
      std::memcpy(to->parameters.data(), from.parameters.data(), from.parameters.bytes());
      std::memcpy(to->state.data(), from.state.data(), from.state.bytes());
    }
    auto backend = make_backend(c.train, 1);
    Buffer gw(g.plan.bytes), dw(d.plan.bytes);
    Executor generator(g, *backend, ga, gw, &da), discriminator(d, *backend, da, dw);
    std::vector<float> noise(8 * 5);
    draw_noise(1, 0, 0, 8, 5, noise.data());
    StepScalars scalars;
    scalars.seed = 1;
    scalars.sample_weight = 1.0 / 8;
    std::array<const void*, 1> noise_input{noise.data()};
    generator.step(noise_input, scalars);
    std::array<const void*, 2> images{batch.features, generator.address(g.graph.results[1])};
    discriminator.step(images, scalars);

    StepOutcome outcome = session.learner->step(batch, {});
    EXPECT_NEAR(outcome.loss, scalar_result(generator, 0), 1e-6);
    EXPECT_EQ(outcome.generator_loss, outcome.loss);
    EXPECT_NEAR(*outcome.discriminator_loss,
                scalar_result(discriminator, 0) + scalar_result(discriminator, 1), 1e-6);
  });
}

TEST_F(Gan, moves_both_nets_and_tells_both_losses) {
  RunOutcome outcome = run(gan("train.log_every_steps = 1\n"), 1, "run");
  ASSERT_EQ(outcome.steps.size(), 6u);
  for (const TrainRecord& record : outcome.steps) {
    EXPECT_EQ(record.generator_loss, record.loss);
    EXPECT_TRUE(std::isfinite(record.discriminator_loss.value()));
  }
  EXPECT_NE(outcome.steps[0].discriminator_loss, outcome.steps[5].discriminator_loss);
  nlohmann::json validation = summary("run")["validation"];
  EXPECT_TRUE(validation.contains("generator_loss"));
  EXPECT_TRUE(validation.contains("discriminator_loss"));
  EXPECT_FALSE(validation.contains("accuracy"));
}

TEST_F(Gan, resumes_to_the_bit_on_any_number_of_ranks) {
  Config c = gan();
  for (int ranks : {1, 2}) {
    std::string n = std::to_string(ranks);
    RunOutcome whole = run(c, ranks, "whole" + n);
    run(c, ranks, "parts" + n, [](TrainOptions& options, int) { stop_after(options, 2); });
    RunOutcome rest = run(c, ranks, "parts" + n);
    EXPECT_EQ(rest.result.parameters_sha256, whole.result.parameters_sha256);
    EXPECT_EQ(rest.result.validation->discriminator_loss, whole.result.validation->discriminator_loss);
  }
}

}  // namespace
}  // namespace trireme::test
