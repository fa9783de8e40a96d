// Whole models: the CPU backend against the reference, rewriting passes against none, gradients against
// finite differences in float64, evaluation against training.
#include <gtest/gtest.h>

#include "support/model_fixture.h"

namespace trireme {
namespace {

using namespace test;

constexpr int64_t batch_size = 5;

class EveryModel : public testing::TestWithParam<std::string> {
 protected:
  ModelConfig model() const { return GetParam() == "every" ? every_layer_model() : preset(GetParam()); }
  SampleShape sample() const { return GetParam() == "lenet" ? SampleShape{28, 28, 1, 5} : small_sample; }
  Graph graph() const { return build_model(model(), sample(), batch_size, GraphMode::training, 0.1); }
};
INSTANTIATE_TEST_SUITE_P(Models, EveryModel, testing::Values("every", "mlp", "lenet", "cnn"));

TEST_P(EveryModel, CpuEqualsReference) {
  Trainer<float> cpu(graph(), make_cpu_backend({2}), 3);
  Trainer<float> reference(graph(), make_reference_backend(), 3);
  auto batch = random_batch<float>(batch_size, sample(), 7);
  cpu.step(batch);
  reference.step(batch);
  EXPECT_NEAR(cpu.loss(), reference.loss(), 1e-5);
  EXPECT_LT(relative_difference(cpu.gradients(), reference.gradients()), 2e-5);
}

TEST_P(EveryModel, RewritingChangesNothing) {
  CompileOptions plain;
  plain.rewrite = false;
  Trainer<float> rewritten(graph(), make_reference_backend(), 3);
  Trainer<float> untouched(graph(), make_reference_backend(), 3, plain);
  EXPECT_LE(rewritten.executor.program().graph.nodes.size(), untouched.executor.program().graph.nodes.size());
  auto batch = random_batch<float>(batch_size, sample(), 7);
  rewritten.step(batch);
  untouched.step(batch);
  for (const ArenaTensor& tensor : untouched.arenas.layout.parameters) {
    const ArenaTensor& other = rewritten.arenas.layout.parameter(tensor.name);
    std::vector<float> a(tensor.size()), b(tensor.size());
    std::memcpy(a.data(), rewritten.arenas.gradients.as<float>() + other.offset, a.size() * sizeof(float));
    std::memcpy(b.data(), untouched.arenas.gradients.as<float>() + tensor.offset, b.size() * sizeof(float));
    EXPECT_LT(relative_difference(a, b), 1e-6) << tensor.name;
  }
}

// Central differences of the loss for a sample of the parameters, in float64, dropout included.
TEST_P(EveryModel, GradientsEqualFiniteDifferences) {
  Graph wide = graph();
  to_float64(wide);
  Trainer<double> trainer(wide, make_reference_backend(), 3);
  auto batch = random_batch<double>(batch_size, sample(), 7);
  trainer.step(batch);
  std::vector<double> gradients = trainer.gradients();
  double* parameters = trainer.arenas.parameters.as<double>();
  const double h = 1e-6;
  RandomStream stream(5, Purpose::test);
  for (const ArenaTensor& tensor : trainer.arenas.layout.parameters) {
    for (int probe = 0; probe < 6; ++probe) {
      size_t i = tensor.offset + stream.below(static_cast<uint32_t>(tensor.size()));
      double start = parameters[i];
      parameters[i] = start + h;
      trainer.step(batch);
      double above = trainer.loss();
      parameters[i] = start - h;
      trainer.step(batch);
      double below = trainer.loss();
      parameters[i] = start;
      EXPECT_NEAR((above - below) / (2 * h), gradients[i], 1e-7 + 1e-5 * std::abs(gradients[i]))
          << tensor.name;
    }
  }
}

TEST_P(EveryModel, PlainGradientDescentLearnsABatchByHeart) {
  Trainer<float> trainer(graph(), make_cpu_backend({}), 3);
  auto batch = random_batch<float>(batch_size, sample(), 7);
  trainer.step(batch);
  float first = trainer.loss();
  for (int64_t step = 1; step < 60; ++step) {
    float* p = trainer.arenas.parameters.as<float>();
    const float* g = trainer.arenas.gradients.as<float>();
    for (size_t i = 0; i < trainer.arenas.layout.parameter_elements; ++i) p[i] -= 0.2f * g[i];
    trainer.step(batch, step);
  }
  EXPECT_LT(trainer.loss(), first * 0.9f);
}

// With running statistics equal to the batch's own and no dropout, evaluation computes training's forward
// pass.
TEST(Evaluation, AgreesWithTrainingOnTheSameBatch) {
  ModelConfig model = preset("cnn");
  model.dropout = 0;
  auto backend = make_cpu_backend({});
  Trainer<float> trainer(build_model(model, small_sample, batch_size, GraphMode::training),
                         make_cpu_backend({}), 3);
  auto batch = random_batch<float>(batch_size, small_sample, 7);
  trainer.step(batch);
  for (const RunningMean& mean : trainer.arenas.layout.running_means) {
    std::memcpy(trainer.arenas.state.as<float>() + mean.state_offset,
                trainer.arenas.gradients.as<float>() + mean.statistic_offset, mean.size * sizeof(float));
  }
  Program program = compile_evaluation(build_model(model, small_sample, batch_size, GraphMode::evaluation),
                                       trainer.arenas.layout);
  Buffer workspace(program.plan.bytes);
  Executor evaluation(program, *backend, trainer.arenas, workspace);
  const void* inputs[] = {batch.images.data(), batch.labels.data()};
  evaluation.step(inputs, {1, 0, 0, 1.0 / batch_size});
  const std::vector<ValueId>& results = evaluation.program().graph.results;
  float loss = *static_cast<const float*>(evaluation.address(results[0]));
  float correct = *static_cast<const float*>(evaluation.address(results[1]));
  EXPECT_NEAR(loss, trainer.loss(), 0.05 * trainer.loss());  // unbiased variance beside the batch's own
  EXPECT_GE(correct, 0.0f);
  EXPECT_LE(correct, 1.0f);
}

// A second evaluation after a parameter change must see the change (packed weights are refreshed).
TEST(Evaluation, SeesChangedParameters) {
  ModelConfig model = preset("cnn");
  auto backend = make_cpu_backend({});
  Trainer<float> trainer(build_model(model, small_sample, batch_size, GraphMode::training),
                         make_cpu_backend({}), 3);
  auto batch = random_batch<float>(batch_size, small_sample, 7);
  Program program = compile_evaluation(build_model(model, small_sample, batch_size, GraphMode::evaluation),
                                       trainer.arenas.layout);
  Buffer workspace(program.plan.bytes);
  Executor evaluation(program, *backend, trainer.arenas, workspace);
  const void* inputs[] = {batch.images.data(), batch.labels.data()};
  auto loss = [&] {
    evaluation.step(inputs, {1, 0, 0, 1.0});
    return *static_cast<const float*>(evaluation.address(evaluation.program().graph.results[0]));
  };
  float before = loss();
  for (const ArenaTensor& tensor : trainer.arenas.layout.parameters) {
    float* values = trainer.arenas.parameters.as<float>() + tensor.offset;
    for (size_t i = 0; i < tensor.size(); ++i) values[i] *= tensor.shape.rank() == 4 ? -1.5f : 1.0f;
  }
  backend->parameters_changed();
  EXPECT_NE(loss(), before);
}

}  // namespace
}  // namespace trireme
