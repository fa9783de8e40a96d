// The 16-bit kernels: every row that takes 16-bit values, every sample. The reference in 16 bits equals the
// reference in float64 on the same values within one rounding; the CPU backend equals the reference within
// one unit in the last place.
#include "ops/op_runner.h"

namespace trireme::test {
namespace {

constexpr DType half_types[] = {DType::bfloat16, DType::float16};

// A unit in the last place of the largest value, relative to it; rounding is off by half of that.
double unit(DType type) { return type == DType::bfloat16 ? 0x1p-7 : 0x1p-10; }

// A recurrence rounds its state to 16 bits at every step, so that its later results, wide ones too, inherit a
// few roundings.
bool is_recurrence(const Op& op) { return op.name.starts_with("lstm") || op.name.starts_with("rnn"); }

bool takes_halves(const Op& op) { return op.precision != Precision::full; }

TEST(HalfTypes, RowsSayWhatTheyTake) {
  size_t low = 0, follow = 0;
  for (const Op& op : op_table()) {
    SCOPED_TRACE(op.name);
    EXPECT_EQ(takes_halves(op), op.reference_bfloat16 != nullptr);
    EXPECT_EQ(takes_halves(op), op.reference_float16 != nullptr);
    EXPECT_EQ(takes_halves(op), !op.half_inputs.empty());
    for (size_t input : op.half_inputs) EXPECT_LT(input, op.max_inputs);
    low += op.precision == Precision::low;
    follow += op.precision == Precision::follow;
  }
  EXPECT_GT(low, 0u);
  EXPECT_GT(follow, 0u);
}

TEST(HalfTypes, InputsThatAreNotListedAreRefused) {
  for (const Op& op : op_table()) {
    for (size_t i = 0; i < op.max_inputs; ++i) {
      if (contains(op.half_inputs, i)) continue;
      SampleGraph s = sample_inputs(op, op.samples[0], DType::float32);
      if (s.inputs[i] == no_id || !is_floating(s.graph.value(s.inputs[i]).type.dtype)) continue;
      s.graph.value(s.inputs[i]).type.dtype = DType::bfloat16;
      try {
        GraphWriter(s.graph, "sample").add(op.name, s.inputs, op.samples[0].attributes);
        ADD_FAILURE() << op.name << " accepts a bfloat16 " << op.inputs[i];
      } catch (const GraphError&) {
      }
    }
  }
}

// Parameters, their gradients and statistics stay wide beside 16-bit activations.
TEST(HalfTypes, StatisticsAndGradientsOfParametersStayWide) {
  for (const Op& op : op_table()) {
    if (!takes_halves(op)) continue;
    SampleGraph s = sample_graph(op, op.samples[0], DType::bfloat16);
    verify(s.graph);
    for (size_t k = 0; k < s.outputs.size(); ++k) {
      const Value& output = s.graph.value(s.outputs[k]);
      bool of_weights = op.name.ends_with("backward_weights") ||
                        (op.name.find("norm_backward") != std::string::npos && k > 0);
      if (output.role != Role::statistic && !of_weights) continue;
      EXPECT_EQ(output.type.dtype, DType::float32) << op.name << " output " << k;
    }
  }
}

TEST(HalfTypes, ReferenceIsTheRoundedResultInFloat64) {
  auto backend = make_reference_backend();
  for (const Op& op : op_table()) {
    if (!takes_halves(op) || op.name == "cast") continue;  // `to` says what cast rounds to
    for (DType type : half_types) {
      for (size_t i = 0; i < op.samples.size(); ++i) {
        SCOPED_TRACE(sample_name(op, i) + " in " + std::string(name_of(type)));
        SampleGraph s = sample_graph(op, op.samples[i], type);
        auto narrow = run_sample(op, op.samples[i], type, *backend);
        auto exact = run_sample(op, op.samples[i], DType::float64, *backend, false, 1, type);
        ASSERT_EQ(narrow.size(), exact.size());
        for (size_t k = 0; k < exact.size(); ++k) {
          // Normalised pixels are rounded before they are compared, as by batch_norm itself: some tie.
          if (op.name == "batch_norm_max_pool" && k == 1) continue;
          bool half = is_half_type(s.graph.value(s.outputs[k]).type.dtype);
          double allowed = is_recurrence(op) ? 4 * unit(type) : half ? unit(type) * 0.51 : 2e-6;
          EXPECT_LE(relative_error(narrow[k], exact[k]), allowed) << op.outputs[k];
        }
      }
    }
  }
}

class BackendHalfTypes : public testing::TestWithParam<int> {
 protected:
  // In 16-bit outputs the backend's sums may round to the neighbour; wide outputs differ by the order of sums
  // alone.
  void expect_equal(const Op& op, const OpSample& sample, DType type, bool in_place) {
    auto expected = run_sample(op, sample, type, *reference);
    auto actual = run_sample(op, sample, type, *cpu, in_place);
    SampleGraph s = sample_graph(op, sample, type);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t k = 0; k < expected.size(); ++k) {
      SCOPED_TRACE("output " + op.outputs[k]);
      DType own = s.graph.value(s.outputs[k]).type.dtype;
      if (is_floating(own)) {
        double allowed = is_recurrence(op) ? 4 * unit(type) : is_half_type(own) ? unit(own) : 1e-5;
        EXPECT_LE(relative_error(actual[k], expected[k]), allowed);
      } else {
        EXPECT_EQ(actual[k], expected[k]);
      }
    }
  }
  void expect_equal_everywhere(const Op& op, bool in_place) {
    for (DType type : half_types) {
      for (size_t i = 0; i < op.samples.size(); ++i) {
        SCOPED_TRACE(sample_name(op, i) + " in " + std::string(name_of(type)));
        expect_equal(op, op.samples[i], type, in_place);
      }
    }
  }
  std::unique_ptr<Backend> cpu = make_cpu_backend({.threads = GetParam()});
  std::unique_ptr<Backend> reference = make_reference_backend();
};

INSTANTIATE_TEST_SUITE_P(Threads, BackendHalfTypes, testing::Values(1, 2));

TEST_P(BackendHalfTypes, EqualTheReferenceOnEverySample) {
  for (const Op& op : op_table()) {
    if (takes_halves(op)) expect_equal_everywhere(op, false);
  }
}

TEST_P(BackendHalfTypes, EqualTheReferenceWhenOverwritingAnInput) {
  for (const Op& op : op_table()) {
    if (takes_halves(op) && (op.in_place_input >= 0 || op.is_view)) expect_equal_everywhere(op, true);
  }
}

TEST_P(BackendHalfTypes, EqualTheReferenceOnTheShapesOfOurNets) {
  auto integers = [](std::initializer_list<std::pair<std::string, int64_t>> entries) {
    Attributes attributes;
    for (const auto& [name, value] : entries) attributes.set(name, value);
    return attributes;
  };
  Attributes image = integers({{"padding", 1}, {"height", 14}, {"width", 14}});
  const std::vector<std::pair<std::string, OpSample>> shapes = {
      // Enough rows for weights to be packed, and fewer.
      {"linear", {.inputs = {{4, 72, 96}, {96, 40}, {40}}, .attributes = integers({{"relu", 1}})}},
      {"linear",
       {.inputs = {{300, 33}, {17, 33}, {}}, .attributes = integers({{"transposed", 1}}), .absent = {2}}},
      {"linear", {.inputs = {{64, 784}, {784, 128}, {128}}}},
      {"linear_backward_data", {.inputs = {{288, 40}, {96, 40}}}},
      {"linear_backward_data", {.inputs = {{64, 120}, {400, 120}}}},
      {"linear_backward_weights", {.inputs = {{288, 40}, {288, 96}}}},
      {"convolution",
       {.inputs = {{4, 28, 28, 1}, {5, 5, 1, 6}, {6}}, .attributes = integers({{"padding", 2}})}},
      {"convolution",
       {.inputs = {{4, 14, 14, 32}, {3, 3, 32, 64}, {64}}, .attributes = integers({{"padding", 1}})}},
      {"convolution_backward_data", {.inputs = {{4, 14, 14, 64}, {3, 3, 32, 64}}, .attributes = image}},
      {"convolution_backward_weights",
       {.inputs = {{4, 14, 14, 64}, {4, 14, 14, 32}},
        .attributes = integers({{"padding", 1}, {"kernel_height", 3}, {"kernel_width", 3}})}},
      {"max_pool", {.inputs = {{4, 28, 28, 32}}}},
      {"batch_norm",
       {.inputs = {{8, 14, 14, 64}, {64}, {64}, {64}, {64}},
        .attributes = integers({{"relu", 1}}),
        .positive = {4}}},
      {"batch_norm_backward",
       {.inputs = {{8, 14, 14, 32}, {8, 14, 14, 32}, {32}, {32}, {32}, {32}}, .positive = {5}}},
      {"add", {.inputs = {{16, 14, 14, 33}, {16, 14, 14, 33}}}},
      {"dropout", {.inputs = {{64, 127}}}},
  };
  for (const auto& [name, sample] : shapes) {
    for (DType type : half_types) {
      SCOPED_TRACE(name + " on " + sample.inputs[0].to_string() + " in " + std::string(name_of(type)));
      expect_equal(find_op(name), sample, type, false);
    }
  }
}

// Packed weights must not be the first ones.
TEST_P(BackendHalfTypes, FollowParametersThatChange) {
  const OpSample sample{.inputs = {{300, 32}, {32, 16}, {16}}};
  const Op& op = find_op("linear");
  for (DType type : half_types) {
    SampleGraph s = sample_graph(op, sample, type);
    GraphRun ours(s.graph, *cpu), oracle(s.graph, *reference);
    for (uint64_t seed : {1, 2}) {
      for (GraphRun* run : {&ours, &oracle}) {
        run->draw_inputs(s, sample, s.graph.nodes[0].attributes, seed);
        run->run(test_scalars());
      }
      EXPECT_LE(relative_error(ours.values(s.outputs[0]), oracle.values(s.outputs[0])), unit(type)) << seed;
    }
  }
}

}  // namespace
}  // namespace trireme::test
