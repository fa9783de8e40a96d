// What single ops promise beyond shapes and gradients, on values worked out by hand.
#include "ops/op_runner.h"

namespace trireme::test {
namespace {

// One op on given values in float64; `inputs` are parameters, or states and labels where the row says so.
struct OneOp {
  OneOp(std::string_view name, const OpSample& sample, std::vector<std::vector<double>> values,
        const StepScalars& scalars = {})
      : op(find_op(name)),
        backend(make_reference_backend()),
        s(sample_graph(op, sample, DType::float64)),
        run(s.graph, *backend) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (contains(sample.labels, i)) {
        for (size_t k = 0; k < values[i].size(); ++k) {
          run.data<int32_t>(s.inputs[i])[k] = static_cast<int32_t>(values[i][k]);
        }
      } else {
        write_floating(DType::float64, run.data<double>(s.inputs[i]), values[i]);
      }
    }
    run.run(scalars);
  }
  std::vector<double> output(size_t i) { return run.values(s.outputs[i]); }

  const Op& op;
  std::unique_ptr<Backend> backend;
  SampleGraph s;
  GraphRun run;
};

TEST(Values, ConvolutionIsCrossCorrelationWithZeroPadding) {
  OneOp one("convolution",
            {.inputs = {{1, 1, 3, 1}, {1, 3, 1, 1}, {1}}, .attributes = {{"padding", int64_t{1}}}},
            {{1, 2, 4}, {10, 100, 1000}, {0.5}});
  // Padding also adds rows above and below, on which a kernel of height one sees zeros.
  EXPECT_EQ(one.output(0), (std::vector<double>{0.5, 0.5, 0.5, 2100.5, 4210.5, 420.5, 0.5, 0.5, 0.5}));
}

TEST(Values, MaxPoolTakesTheFirstOfEqualsAndNeverPadding) {
  OneOp one("max_pool",
            {.inputs = {{1, 2, 2, 1}}, .attributes = {{"kernel", int64_t{3}}, {"padding", int64_t{1}}}},
            {{-3, -1, -1, -2}});
  EXPECT_EQ(one.output(0), (std::vector<double>{-1}));
  EXPECT_EQ(one.output(1), (std::vector<double>{5}));  // row 1, column 2 of the window, which starts outside
}

TEST(Values, AveragePoolCountsPositionsInsideTheImageOnly) {
  OneOp one("average_pool",
            {.inputs = {{1, 2, 2, 1}}, .attributes = {{"kernel", int64_t{2}}, {"padding", int64_t{1}}}},
            {{1, 2, 3, 4}});
  EXPECT_EQ(one.output(0), (std::vector<double>{1, 2, 3, 4}));
}

TEST(Values, BatchNormStatisticsAreThisRanksShareOfAMeanOverSamples) {
  OpSample sample{.inputs = {{4, 1}, {1}, {1}, {1}, {1}}};
  StepScalars scalars;
  scalars.sample_weight = 1.0 / 16;  // four of sixteen samples are here
  OneOp one("batch_norm", sample, {{1, 2, 3, 6}, {2}, {1}, {77}, {88}}, scalars);
  EXPECT_DOUBLE_EQ(one.output(1)[0], 3);
  EXPECT_DOUBLE_EQ(one.output(2)[0], 1 / std::sqrt(3.5 + 1e-5));
  EXPECT_DOUBLE_EQ(one.output(3)[0], 3 * 0.25);
  EXPECT_DOUBLE_EQ(one.output(4)[0], 14.0 / 3 * 0.25);
  EXPECT_DOUBLE_EQ(one.output(0)[3], 2 * 3 / std::sqrt(3.5 + 1e-5) + 1);
  const Graph& graph = one.s.graph;
  EXPECT_EQ(graph.value(one.s.outputs[3]).role, Role::statistic);
  EXPECT_EQ(graph.value(one.s.outputs[3]).of, one.s.inputs[3]);
  EXPECT_EQ(graph.value(one.s.outputs[4]).of, one.s.inputs[4]);
  EXPECT_EQ(graph.value(one.s.outputs[3]).name, "sample.batch_norm.batch_mean");
}

TEST(Values, BatchNormOfOneElementHasNoVariance) {
  OneOp one("batch_norm", {.inputs = {{1, 2}, {2}, {2}, {2}, {2}}},
            {{5, -7}, {1, 1}, {0.5, 0.5}, {0, 0}, {1, 1}});
  EXPECT_EQ(one.output(0), (std::vector<double>{0.5, 0.5}));
  EXPECT_EQ(one.output(4), (std::vector<double>{0, 0}));
}

TEST(Values, BatchNormReluMasksTheSameElementsInBothDirections) {
  OpSample sample{
      .inputs = {{3, 4, 5, 7}, {7}, {7}, {7}, {7}}, .attributes = {{"relu", int64_t{1}}}, .positive = {4}};
  const Op& op = find_op("batch_norm");
  SampleGraph s = sample_graph(op, sample, DType::float32);
  ValueId dy = s.graph.add_input("dy", s.graph.value(s.outputs[0]).type);
  GraphWriter writer(s.graph, "gradient");
  op.gradient(writer, s.graph.nodes[0], dy);
  auto backend = make_reference_backend();
  GraphRun run(s.graph, *backend);
  run.draw_inputs(s, sample, s.graph.nodes[0].attributes, 1);
  std::vector<double> ones(run.values(dy).size(), 1.0);
  write_floating(DType::float32, run.data<float>(dy), ones);
  run.run(test_scalars());
  std::vector<double> y = run.values(s.outputs[0]);
  std::vector<double> dbeta = run.values(s.graph.nodes[1].outputs[2]);
  for (size_t c = 0; c < dbeta.size(); ++c) {
    double alive = 0;
    for (size_t at = c; at < y.size(); at += dbeta.size()) alive += y[at] > 0;
    EXPECT_EQ(dbeta[c], alive) << "channel " << c;
  }
}

TEST(Values, DropoutDependsOnTheSampleOfTheGlobalBatchNotOnTheRank) {
  std::vector<double> ones(6 * 9, 1.0);
  StepScalars scalars{.seed = 3, .step = 8, .first_sample = 0, .sample_weight = 1};
  Attributes attributes = {{"rate", 0.25}, {"layer", int64_t{2}}};
  auto whole = OneOp("dropout", {.inputs = {{6, 9}}, .attributes = attributes}, {ones}, scalars).output(0);
  std::vector<double> half(3 * 9, 1.0);
  OpSample small{.inputs = {{3, 9}}, .attributes = attributes};
  auto first = OneOp("dropout", small, {half}, scalars).output(0);
  scalars.first_sample = 3;
  auto second = OneOp("dropout", small, {half}, scalars).output(0);
  first.insert(first.end(), second.begin(), second.end());
  EXPECT_EQ(first, whole);
  for (double value : whole) EXPECT_TRUE(value == 0 || value == 1 / 0.75);
}

TEST(Values, DropoutKeepsTheRightShareAndDrawsAnewByStepLayerAndSeed) {
  std::vector<double> ones(100 * 100, 1.0);
  auto draw = [&](StepScalars scalars, int64_t layer) {
    OpSample sample{.inputs = {{100, 100}}, .attributes = {{"rate", 0.3}, {"layer", layer}}};
    return OneOp("dropout", sample, {ones}, scalars).output(0);
  };
  auto base = draw({.seed = 1, .step = 1}, 0);
  auto kept = static_cast<double>(std::count_if(base.begin(), base.end(), [](double v) { return v > 0; }));
  EXPECT_NEAR(kept / 1e4, 0.7, 0.02);  // 4 standard deviations
  EXPECT_EQ(base, draw({.seed = 1, .step = 1}, 0));
  EXPECT_NE(base, draw({.seed = 1, .step = 2}, 0));
  EXPECT_NE(base, draw({.seed = 1, .step = 1}, 1));
  EXPECT_NE(base, draw({.seed = 2, .step = 1}, 0));
  EXPECT_NE(base, draw({.seed = 1 + (uint64_t{1} << 32), .step = 1}, 0));
}

TEST(Values, CrossEntropyOfEvenLogitsIsTheLogarithmOfTheClasses) {
  StepScalars scalars;
  scalars.sample_weight = 0.5;
  OneOp one("softmax_cross_entropy", {.inputs = {{2, 4}, {2}}, .labels = {1}, .classes = 4},
            {{1, 1, 1, 1, -3, -3, -3, -3}, {0, 3}}, scalars);
  EXPECT_DOUBLE_EQ(one.output(0)[0], std::log(4.0));
  EXPECT_EQ(one.output(1), std::vector<double>(8, 0.25));
}

TEST(Values, CrossEntropyIsStableForLargeLogits) {
  OneOp one("softmax_cross_entropy", {.inputs = {{1, 2}, {1}}, .labels = {1}, .classes = 2},
            {{1e4, -1e4}, {1}});
  EXPECT_DOUBLE_EQ(one.output(0)[0], 2e4);
  EXPECT_EQ(one.output(1), (std::vector<double>{1, 0}));
}

TEST(Values, LabelSmoothingSpreadsItsShareOverAllClasses) {
  OneOp one("softmax_cross_entropy",
            {.inputs = {{1, 2}, {1}}, .attributes = {{"label_smoothing", 0.2}}, .labels = {1}, .classes = 2},
            {{std::log(3.0), 0}, {0}});
  EXPECT_NEAR(one.output(0)[0], -0.9 * std::log(0.75) - 0.1 * std::log(0.25), 1e-12);
}

TEST(Values, ALabelOutOfRangeNamesTheSample) {
  for (double label : {-1.0, 3.0}) {
    StepScalars scalars{.seed = 0, .step = 12, .first_sample = 32, .sample_weight = 1};
    OpSample sample{.inputs = {{2, 3}, {2}}, .labels = {1}, .classes = 3};
    try {
      OneOp("softmax_cross_entropy", sample, {{1, 2, 3, 4, 5, 6}, {0, label}}, scalars);
      ADD_FAILURE() << "accepts label " << label;
    } catch (const DataError& error) {
      std::string message = error.what();
      EXPECT_EQ(message.find("sample 33 of the batch of step 12"), 0u) << message;
      EXPECT_NE(message.find("3 classes"), std::string::npos) << message;
    }
  }
}

TEST(Values, Top1CountsTheFirstOfEqualsAndWeighsBySample) {
  StepScalars scalars;
  scalars.sample_weight = 0.25;
  OneOp one("top1_correct", {.inputs = {{4, 3}, {4}}, .labels = {1}, .classes = 3},
            {{0, 2, 2, 1, 0, 0, 5, 6, 7, 1, 2, 3}, {1, 0, 1, 2}}, scalars);
  EXPECT_EQ(one.output(0), (std::vector<double>{0.75}));
}

TEST(Values, LinearCountsTwoOperationsAFusedMultiplyAdd) {
  const Op& op = find_op("linear");
  SampleGraph s = sample_graph(op, {.inputs = {{64, 784}, {784, 10}, {10}}}, DType::float32);
  EXPECT_EQ(op.flops(s.graph, s.graph.nodes[0]), 64.0 * 10 * (2 * 784 + 1));
}

}  // namespace
}  // namespace trireme::test
