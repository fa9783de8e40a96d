// A whole transformer's training program: what it keeps, and that the backends agree on it.
#include <gtest/gtest.h>

#include "support/model_fixture.h"

namespace trireme {
namespace {

using namespace test;

ModelConfig small_gpt() {
  ModelConfig model;
  model.kind = "gpt";
  model.depth = 2;
  model.width = 32;
  model.heads = 4;
  model.dropout = 0.1;
  return model;
}

SampleShape text(int64_t length) {
  SampleShape sample;
  sample.kind = SampleKind::text;
  sample.length = length;
  sample.vocabulary = 19;
  return sample;
}

// Neither the forward nor the backward half holds a matrix of all pairs of positions, in the plan or as a
// value.
TEST(Transformer, KeepsNoMatrixOfPairsOfPositions) {
  constexpr int64_t batch = 2, length = 512;
  Program program = compile_training(build_model(small_gpt(), text(length), batch, GraphMode::training, 0.0));
  constexpr int64_t pairs = length * length;  // of one head
  for (const Value& value : program.graph.values) {
    EXPECT_LT(value.type.shape.elements() / batch, pairs) << value.name << value.type.shape.to_string();
  }
  int64_t heads = small_gpt().heads * 2;
  EXPECT_LT(program.plan.bytes, static_cast<size_t>(batch * heads * pairs) * sizeof(float));
}

TEST(Transformer, CpuEqualsReference) {
  constexpr int64_t batch = 3, length = 21;
  Graph graph = build_model(small_gpt(), text(length), batch, GraphMode::training, 0.1);
  Trainer<float> cpu(graph, make_cpu_backend({2}), 3);
  Trainer<float> reference(graph, make_reference_backend(), 3);
  RandomStream stream(4, Purpose::test);
  std::vector<int32_t> tokens, labels;
  for (int64_t i = 0; i < batch * length; ++i) {
    tokens.push_back(static_cast<int32_t>(stream.below(19)));
    labels.push_back(static_cast<int32_t>(stream.below(19)));
  }
  const void* inputs[] = {tokens.data(), labels.data()};
  StepScalars scalars{1, 5, 0, 1.0 / batch};
  cpu.backend->parameters_changed();
  cpu.executor.step(inputs, scalars);
  reference.executor.step(inputs, scalars);
  EXPECT_NEAR(reference.loss(), std::log(19.0), 0.2);
  EXPECT_NEAR(cpu.loss(), reference.loss(), 1e-5);
  EXPECT_LT(relative_difference(cpu.gradients(), reference.gradients()), 2e-5);
}

}  // namespace
}  // namespace trireme
