// What the other ops of language models promise beyond shapes and gradients: values by hand, errors, and that
// the CPU backend gives the same bits with any number of threads.
#include "ops/op_runner.h"

namespace trireme::test {
namespace {

constexpr auto integer = [](int64_t value) { return Attribute(value); };

// One op in float64 on the reference backend with given values for all inputs.
std::vector<std::vector<double>> run_op(std::string_view name, const OpSample& sample,
                                        const std::vector<std::vector<double>>& values,
                                        const StepScalars& scalars = {}, bool cpu = false) {
  auto backend = cpu ? make_cpu_backend({1}) : make_reference_backend();
  DType type = cpu ? DType::float32 : DType::float64;
  SampleGraph s = sample_graph(find_op(name), sample, type);
  GraphRun run(s.graph, *backend);
  for (size_t i = 0; i < values.size(); ++i) {
    if (contains(sample.labels, i)) {
      std::transform(values[i].begin(), values[i].end(), run.data<int32_t>(s.inputs[i]),
                     [](double v) { return static_cast<int32_t>(v); });
    } else {
      write_floating(type, run.data<char>(s.inputs[i]), values[i]);
    }
  }
  run.run(scalars);
  std::vector<std::vector<double>> outputs;
  for (ValueId id : s.outputs) outputs.push_back(run.values(id));
  return outputs;
}

TEST(Sequences, LinearTakesLeadingAxesAsRowsAndWeightsEitherWay) {
  OpSample sample{.inputs = {{1, 2, 2}, {2, 3}, {3}}};
  auto y = run_op("linear", sample, {{1, 2, 3, 4}, {1, 10, 100, 2, 20, 200}, {0.5, 0, 0}});
  EXPECT_EQ(y[0], (std::vector<double>{5.5, 50, 500, 11.5, 110, 1100}));
  sample.inputs[1] = {3, 2};
  sample.attributes = {{"transposed", integer(1)}};
  EXPECT_EQ(run_op("linear", sample, {{1, 2, 3, 4}, {1, 2, 10, 20, 100, 200}, {0.5, 0, 0}}), y);
}

TEST(Sequences, EmbeddingAddsTheRowOfTheTokenAndOfThePosition) {
  OpSample sample{.inputs = {{2, 2}, {3, 2}, {4, 2}}, .labels = {0}, .classes = 3};
  std::vector<std::vector<double>> values = {
      {2, 0, 1, 1}, {1, 2, 3, 4, 5, 6}, {10, 20, 30, 40, 50, 60, 70, 80}};
  for (bool cpu : {false, true}) {
    EXPECT_EQ(run_op("embedding", sample, values, {}, cpu)[0],
              (std::vector<double>{15, 26, 31, 42, 13, 24, 33, 44}));
  }
}

TEST(Sequences, EmbeddingsGradientAddsUpByTokenAndByPosition) {
  OpSample sample{.inputs = {{2, 2, 1}, {2, 2}},
                  .attributes = {{"vocabulary", integer(3)}, {"positions", integer(4)}},
                  .labels = {1},
                  .classes = 3};
  for (bool cpu : {false, true}) {
    auto d = run_op("embedding_backward", sample, {{1, 2, 4, 8}, {2, 0, 2, 2}}, {}, cpu);
    EXPECT_EQ(d[0], (std::vector<double>{2, 0, 13}));
    EXPECT_EQ(d[1], (std::vector<double>{5, 10, 0, 0}));
  }
}

TEST(Sequences, ATokenOutOfRangeNamesSampleAndPosition) {
  StepScalars scalars{.seed = 0, .step = 12, .first_sample = 32, .sample_weight = 1};
  OpSample sample{.inputs = {{2, 3}, {5, 1}, {}}, .absent = {2}, .labels = {0}, .classes = 5};
  for (bool cpu : {false, true}) {
    for (double token : {-1.0, 5.0}) {
      try {
        run_op("embedding", sample, {{0, 1, 2, 3, token, 4}, {1, 2, 3, 4, 5}}, scalars, cpu);
        ADD_FAILURE() << "accepts token " << token;
      } catch (const DataError& error) {
        std::string message = error.what();
        EXPECT_EQ(message.find("sample 33 of the batch of step 12"), 0u) << message;
        EXPECT_NE(message.find("position 1"), std::string::npos) << message;
        EXPECT_NE(message.find("vocabulary of 5"), std::string::npos) << message;
      }
    }
  }
}

TEST(Sequences, ALabelOutOfRangeNamesTheSampleOfItsPosition) {
  StepScalars scalars{.seed = 0, .step = 3, .first_sample = 8, .sample_weight = 1};
  OpSample sample{.inputs = {{2, 2, 2}, {2, 2}}, .labels = {1}, .classes = 2};
  for (bool cpu : {false, true}) {
    try {
      run_op("softmax_cross_entropy", sample, {{0, 0, 0, 0, 0, 0, 0, 0}, {0, 1, 0, 2}}, scalars, cpu);
      ADD_FAILURE() << "accepts label 2";
    } catch (const DataError& error) {
      EXPECT_EQ(std::string(error.what()).find("sample 9 of the batch of step 3"), 0u) << error.what();
    }
  }
}

// Two samples of two positions weigh as much as two samples of one.
TEST(Sequences, LossAndAccuracyAreMeansOverASamplesPositions) {
  StepScalars scalars;
  scalars.sample_weight = 0.5;
  OpSample sample{.inputs = {{2, 2, 4}, {2, 2}}, .labels = {1}, .classes = 4};
  std::vector<double> even(16, 3.0), labels = {0, 3, 1, 0};
  for (bool cpu : {false, true}) {
    auto loss = run_op("softmax_cross_entropy", sample, {even, labels}, scalars, cpu);
    EXPECT_NEAR(loss[0][0], std::log(4.0), 1e-6);
    EXPECT_EQ(loss[1], std::vector<double>(16, 0.25));
    EXPECT_EQ(run_op("top1_correct", sample, {even, labels}, scalars, cpu)[0][0], 0.5);
    auto gradient = run_op("softmax_cross_entropy_backward", sample, {loss[1], labels}, scalars, cpu);
    EXPECT_EQ(gradient[0][0], -0.75 / 4);
    EXPECT_EQ(gradient[0][1], 0.25 / 4);
  }
}

TEST(Sequences, LayerNormTakesEachRowByItself) {
  OpSample sample{.inputs = {{2, 2}, {2}, {2}}, .attributes = {{"epsilon", 0.0}}};
  auto y = run_op("layer_norm", sample, {{1, 3, -5, 5}, {2, 2}, {0, 1}});
  EXPECT_EQ(y[0], (std::vector<double>{-2, 3, -2, 3}));
  EXPECT_EQ(y[1], (std::vector<double>{2, 0}));
  EXPECT_EQ(y[2], (std::vector<double>{1, 0.2}));
}

// A mean a thousand times the deviation must not cost the variance its digits.
TEST(Sequences, LayerNormIsAccurateFarFromZero) {
  OpSample sample{.inputs = {{3, 130}, {130}, {130}}};
  std::vector<double> x = spaced_values(390, 5), ones(130, 1.0), zeros(130, 0.0);
  for (double& value : x) value = static_cast<double>(static_cast<float>(value + 1000));
  auto exact = run_op("layer_norm", sample, {x, ones, zeros});
  auto ours = run_op("layer_norm", sample, {x, ones, zeros}, {}, true);
  EXPECT_LT(relative_error(ours[0], exact[0]), 2e-4);  // 1000 rounded to 24 bits, over a deviation of 0.58
  EXPECT_LT(relative_error(ours[2], exact[2]), 1e-5);
}

TEST(Sequences, GeluAtKnownPoints) {
  for (bool cpu : {false, true}) {
    auto y = run_op("gelu", {.inputs = {{1, 4}}}, {{0, 1, -1, 30}}, {}, cpu)[0];
    EXPECT_NEAR(y[0], 0, 1e-12);
    EXPECT_NEAR(y[1], 0.8413447460685429, 1e-6);
    EXPECT_NEAR(y[2], -0.15865525393145707, 1e-6);
    EXPECT_NEAR(y[3], 30, 1e-5);
    auto by_tanh =
        run_op("gelu", {.inputs = {{1, 2}}, .attributes = {{"tanh", integer(1)}}}, {{1, -1}}, {}, cpu)[0];
    EXPECT_NEAR(by_tanh[0], 0.8411919906082768, 1e-6);
    EXPECT_NEAR(by_tanh[1], -0.15880800939172324, 1e-6);
  }
}

TEST(Sequences, ThreadsChangeNoBit) {
  const std::vector<std::pair<std::string, OpSample>> cases = {
      {"embedding", {.inputs = {{6, 70}, {11, 133}, {80, 133}}, .labels = {0}, .classes = 11}},
      {"embedding_backward",
       {.inputs = {{6, 70, 133}, {6, 70}},
        .attributes = {{"vocabulary", integer(11)}, {"positions", integer(80)}},
        .labels = {1},
        .classes = 11}},
      {"layer_norm", {.inputs = {{6, 70, 33}, {33}, {33}}}},
      {"layer_norm_backward",
       {.inputs = {{6, 70, 33}, {6, 70, 33}, {33}, {6, 70}, {6, 70}}, .positive = {4}}},
      {"gelu", {.inputs = {{6, 70, 133}}}},
      {"gelu_backward", {.inputs = {{6, 70, 133}, {6, 70, 133}}}},
      {"softmax_cross_entropy", {.inputs = {{6, 70, 33}, {6, 70}}, .labels = {1}, .classes = 33}},
      {"softmax_cross_entropy_backward", {.inputs = {{6, 70, 33}, {6, 70}}, .labels = {1}, .classes = 33}},
  };
  auto one = make_cpu_backend({1}), two = make_cpu_backend({2}), three = make_cpu_backend({3});
  auto reference = make_reference_backend();
  for (const auto& [name, sample] : cases) {
    SCOPED_TRACE(name);
    const Op& op = find_op(name);
    auto results = run_sample(op, sample, DType::float32, *one);
    EXPECT_EQ(run_sample(op, sample, DType::float32, *two), results);
    EXPECT_EQ(run_sample(op, sample, DType::float32, *three), results);
    auto expected = run_sample(op, sample, DType::float32, *reference);
    for (size_t k = 0; k < results.size(); ++k) EXPECT_LT(relative_error(results[k], expected[k]), 1e-5) << k;
  }
}

}  // namespace
}  // namespace trireme::test
