// Attention and its gradient on the CPU backend against a plain implementation that writes every matrix out,
// for lengths on both sides of the blocks' borders; what its dropout draws; and that threads change no bit.
#include "ops/attention_cases.h"

namespace trireme::test {
namespace {

class Attention : public testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Lengths, Attention, testing::Values(1, 2, 17, 63, 64, 65, 127, 130));

TEST_P(Attention, EqualsThePlainImplementation) {
  auto cpu = make_cpu_backend({1});
  auto reference = make_reference_backend();
  for (bool causal : {false, true}) {
    expect_plain({{2, GetParam(), 64, 2}, causal}, *cpu, DType::float32, 1e-5);
    expect_plain({{1, GetParam(), 60, 3}, causal}, *cpu, DType::float32, 1e-5);
    expect_plain({{1, GetParam(), 60, 3}, causal, 0.2}, *cpu, DType::float32, 1e-5);
  }
  expect_plain({{1, GetParam(), 10, 2}, true, 0.2}, *reference, DType::float64, 1e-12);
}

TEST_P(Attention, In16BitsIsRoundedOnlyAtTheEnds) {
  auto cpu = make_cpu_backend({1});
  for (bool causal : {false, true}) {
    // y itself is rounded before the backward reads it.
    expect_plain({{1, GetParam(), 48, 2}, causal}, *cpu, DType::bfloat16, 0x1p-7);
    expect_plain({{1, GetParam(), 48, 2}, causal}, *cpu, DType::float16, 0x1p-10);
  }
}

TEST_P(Attention, ThreadsChangeNoBit) {
  AttentionCase c = {{3, GetParam(), 96, 3}, true, 0.1};
  auto one = make_cpu_backend({1}), two = make_cpu_backend({2});
  EXPECT_EQ(attention_results(c, *one), attention_results(c, *two));
}

// Two ranks with half of the samples each draw what one rank with all of them draws.
TEST(AttentionDropout, DependsOnTheSampleOfTheGlobalBatch) {
  auto cpu = make_cpu_backend({1});
  AttentionCase whole = {{4, 9, 16, 2}, true, 0.3}, half = {{2, 9, 16, 2}, true, 0.3};
  std::vector<double> qkv = normal_values(elements(whole.extents, 3), 1);
  StepScalars scalars = test_scalars();
  auto outputs = [&](const AttentionCase& c, size_t begin) {
    AttentionRun blocked(c, *cpu);
    std::vector<double> part(qkv.begin() + static_cast<std::ptrdiff_t>(begin), qkv.end());
    part.resize(elements(c.extents, 3));
    blocked.give(blocked.qkv(), part);
    blocked.run->run_node(0, scalars);
    return blocked.run->values(blocked.sample.outputs[0]);
  };
  std::vector<double> all = outputs(whole, 0), first = outputs(half, 0);
  scalars.first_sample += 2;
  std::vector<double> second = outputs(half, elements(half.extents, 3));
  first.insert(first.end(), second.begin(), second.end());
  EXPECT_EQ(first, all);
}

TEST(AttentionDropout, KeepsTheRightShareAndDrawsAnewByStepAndLayer) {
  AttentionExtents e = {1, 100, 16, 2};
  StepScalars scalars = test_scalars(), later = scalars;
  ++later.step;
  double kept = 0, same_step = 0, same_layer = 0;
  for (int64_t i = 0; i < e.length; ++i) {
    for (int64_t j = 0; j < e.length; ++j) {
      bool keeps = attention_keeps(scalars, 1, e, 0, 1, i, j, 0.3f);
      kept += keeps;
      same_step += keeps == attention_keeps(later, 1, e, 0, 1, i, j, 0.3f);
      same_layer += keeps == attention_keeps(scalars, 2, e, 0, 1, i, j, 0.3f);
    }
  }
  EXPECT_NEAR(kept / 1e4, 0.7, 0.02);  // 4 standard deviations
  EXPECT_NEAR(same_step / 1e4, 0.58, 0.03);
  EXPECT_NEAR(same_layer / 1e4, 0.58, 0.03);
}

TEST(AttentionLimits, HeadsThatDoNotShareTheChannelsAreNamed) {
  Graph graph;
  ValueId qkv = graph.add_input("qkv", {DType::float32, {2, 5, 18}});
  try {
    GraphWriter(graph, "block1").add("attention", {qkv}, {{"heads", int64_t{4}}});
    FAIL();
  } catch (const GraphError& error) {
    EXPECT_NE(std::string(error.what()).find("4 heads"), std::string::npos) << error.what();
  }
}

// A NaN anywhere that a row looks at shows in it, and in causal rows before it nothing does.
TEST(AttentionLimits, NaNIsNeverHidden) {
  auto cpu = make_cpu_backend({1});
  AttentionCase c = {{1, 70, 32, 1}, true};
  AttentionRun blocked(c, *cpu);
  std::vector<double> qkv = normal_values(elements(c.extents, 3), 1);
  blocked.give(blocked.qkv(), qkv);
  const size_t at = 66;
  blocked.run->data<float>(blocked.qkv())[at * 96 + 32] = std::nanf("");  // in a key
  blocked.run->run_node(0, test_scalars());
  std::vector<double> y = blocked.run->values(blocked.sample.outputs[0]);
  for (size_t t = 0; t < 70; ++t) EXPECT_EQ(std::isnan(y[t * 32]), t >= at) << t;
}

}  // namespace
}  // namespace trireme::test
