// The CPU backend against the reference backend in float32: every row of the op table, every sample, and the
// shapes that our nets use.
#include "ops/op_runner.h"

namespace trireme::test {
namespace {

// Both backends round sums of a few thousand float32 products, the reference in float64.
constexpr double tolerance = 1e-5;

void expect_equal(const Op& op, const OpSample& sample, Backend& cpu, Backend& reference, bool in_place) {
  auto expected = run_sample(op, sample, DType::float32, reference);
  auto actual = run_sample(op, sample, DType::float32, cpu, in_place);
  ASSERT_EQ(actual.size(), expected.size());
  SampleGraph s = sample_graph(op, sample, DType::float32);
  for (size_t k = 0; k < expected.size(); ++k) {
    SCOPED_TRACE("output " + op.outputs[k]);
    if (is_floating(s.graph.value(s.outputs[k]).type.dtype)) {
      EXPECT_LT(relative_error(actual[k], expected[k]), tolerance);
    } else {
      EXPECT_EQ(actual[k], expected[k]);
    }
  }
}

class BackendEqualsReference : public testing::TestWithParam<int> {
 protected:
  std::unique_ptr<Backend> cpu = make_cpu_backend({.threads = GetParam()});
  std::unique_ptr<Backend> reference = make_reference_backend();
};

INSTANTIATE_TEST_SUITE_P(Threads, BackendEqualsReference, testing::Values(1, 2));

TEST_P(BackendEqualsReference, OnEverySample) {
  for (const Op& op : op_table()) {
    for (size_t i = 0; i < op.samples.size(); ++i) {
      SCOPED_TRACE(sample_name(op, i));
      expect_equal(op, op.samples[i], *cpu, *reference, false);
    }
  }
}

TEST_P(BackendEqualsReference, WhenOverwritingAnInput) {
  for (const Op& op : op_table()) {
    if (op.in_place_input < 0 && !op.is_view) continue;
    for (size_t i = 0; i < op.samples.size(); ++i) {
      SCOPED_TRACE(sample_name(op, i));
      expect_equal(op, op.samples[i], *cpu, *reference, true);
    }
  }
}

TEST_P(BackendEqualsReference, OnTheShapesOfOurNets) {
  auto integers = [](std::initializer_list<std::pair<std::string, int64_t>> entries) {
    Attributes attributes;
    for (const auto& [name, value] : entries) attributes.set(name, value);
    return attributes;
  };
  Attributes same3 = integers({{"padding", 1}, {"height", 14}, {"width", 14}});
  const std::vector<std::pair<std::string, OpSample>> shapes = {
      {"linear", {.inputs = {{64, 784}, {784, 128}, {128}}, .attributes = integers({{"relu", 1}})}},
      {"linear", {.inputs = {{64, 84}, {84, 10}, {10}}}},
      {"linear_backward_data", {.inputs = {{64, 120}, {400, 120}}}},
      {"linear_backward_weights", {.inputs = {{64, 120}, {64, 400}}}},
      {"convolution",
       {.inputs = {{4, 28, 28, 1}, {5, 5, 1, 6}, {6}},
        .attributes = integers({{"padding", 2}, {"relu", 1}})}},
      {"convolution", {.inputs = {{4, 14, 14, 6}, {5, 5, 6, 16}, {16}}}},
      {"convolution",
       {.inputs = {{4, 14, 14, 32}, {3, 3, 32, 64}, {}},
        .attributes = integers({{"padding", 1}}),
        .absent = {2}}},
      {"convolution_backward_data", {.inputs = {{4, 14, 14, 64}, {3, 3, 32, 64}}, .attributes = same3}},
      {"convolution_backward_weights",
       {.inputs = {{4, 14, 14, 64}, {4, 14, 14, 32}},
        .attributes = integers({{"padding", 1}, {"kernel_height", 3}, {"kernel_width", 3}, {"bias", 0}})}},
      {"convolution_backward_weights",
       {.inputs = {{4, 28, 28, 6}, {4, 28, 28, 1}},
        .attributes = integers({{"padding", 2}, {"kernel_height", 5}, {"kernel_width", 5}})}},
      {"convolution",
       {.inputs = {{37, 9, 8, 1}, {5, 5, 1, 6}, {6}}, .attributes = integers({{"padding", 2}, {"relu", 1}})}},
      {"convolution",
       {.inputs = {{32, 6, 7, 3}, {3, 2, 3, 5}, {}}, .attributes = Attributes(), .absent = {2}}},
      {"convolution_backward_data",
       {.inputs = {{37, 4, 5, 16}, {5, 5, 6, 16}}, .attributes = integers({{"height", 8}, {"width", 9}})}},
      {"convolution_backward_data",
       {.inputs = {{16, 7, 7, 9}, {3, 3, 1, 9}},
        .attributes = integers({{"padding", 1}, {"height", 7}, {"width", 7}})}},
      {"convolution_backward_weights",
       {.inputs = {{37, 9, 8, 6}, {37, 9, 8, 1}},
        .attributes = integers({{"padding", 2}, {"kernel_height", 5}, {"kernel_width", 5}})}},
      {"max_pool", {.inputs = {{4, 28, 28, 32}}}},
      {"max_pool_backward",
       {.inputs = {{4, 14, 14, 32}, {4, 14, 14, 32}},
        .attributes = integers({{"kernel", 2}, {"stride", 2}, {"padding", 0}, {"height", 28}, {"width", 28}}),
        .positions = {1}}},
      {"batch_norm",
       {.inputs = {{8, 14, 14, 64}, {64}, {64}, {64}, {64}},
        .attributes = integers({{"relu", 1}}),
        .positive = {4}}},
      {"batch_norm_backward",
       {.inputs = {{8, 14, 14, 32}, {8, 14, 14, 32}, {32}, {32}, {32}, {32}}, .positive = {5}}},
      {"relu", {.inputs = {{64, 28, 28, 6}}}},
      {"add", {.inputs = {{16, 14, 14, 33}, {16, 14, 14, 33}}}},
      {"dropout", {.inputs = {{64, 127}}}},
      {"softmax_cross_entropy", {.inputs = {{64, 10}, {64}}, .labels = {1}, .classes = 10}},
  };
  for (const auto& [name, sample] : shapes) {
    SCOPED_TRACE(name + " on " + sample.inputs[0].to_string());
    expect_equal(find_op(name), sample, *cpu, *reference, false);
  }
}

TEST_P(BackendEqualsReference, AfterParametersHaveChanged) {
  for (const char* name : {"linear", "convolution"}) {
    const Op& op = find_op(name);
    const OpSample& sample = op.samples[0];
    SampleGraph s = sample_graph(op, sample, DType::float32);
    GraphRun ours(s.graph, *cpu), oracle(s.graph, *reference);
    for (uint64_t seed : {1, 2}) {  // packed weights must not be the first ones
      for (GraphRun* run : {&ours, &oracle}) {
        run->draw_inputs(s, sample, s.graph.nodes[0].attributes, seed);
        run->run(test_scalars());
      }
      EXPECT_LT(relative_error(ours.values(s.outputs[0]), oracle.values(s.outputs[0])), tolerance)
          << name << " of draw " << seed;
    }
  }
}

TEST_P(BackendEqualsReference, RefusesFloat64NamingTheOrigin) {
  const Op& op = find_op("linear");
  SampleGraph s = sample_graph(op, op.samples[0], DType::float64);
  try {
    GraphRun run(s.graph, *cpu);
    FAIL() << "the CPU backend accepts float64";
  } catch (const GraphError& error) {
    EXPECT_EQ(std::string(error.what()).find("sample"), 0u) << error.what();
  }
}

}  // namespace
}  // namespace trireme::test
