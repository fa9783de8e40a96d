// Attention and its gradient on the CPU backend against a plain implementation that writes every matrix out,
// for lengths on both sides of the blocks' borders; what its dropout draws; and that threads change no bit.
#include "ops/attention.h"

#include "ops/op_runner.h"

namespace trireme::test {
namespace {

struct Case {
  AttentionExtents extents;
  bool causal;
  double rate = 0;
  Attributes attributes() const {
    return {{"heads", extents.heads}, {"causal", int64_t{causal}}, {"rate", rate}, {"layer", int64_t{2}}};
  }
};

using Matrix = std::vector<std::vector<double>>;

struct Plain {
  std::vector<double> y, logsumexp, dqkv;
};

// With whole matrices of probabilities, and the gradient through the softmax by its Jacobian.
Plain plain_attention(const Case& c, const std::vector<double>& qkv, const std::vector<double>& dy,
                      const StepScalars& scalars) {
  const AttentionExtents& e = c.extents;
  auto size = static_cast<size_t>(e.head_size()), length = static_cast<size_t>(e.length);
  auto channels = static_cast<size_t>(e.channels);
  Plain result;
  result.y.resize(dy.size());
  result.dqkv.resize(qkv.size());
  for (int64_t n = 0; n < e.samples; ++n) {
    for (int64_t h = 0; h < e.heads; ++h) {
      auto at = [&](size_t t, size_t d, size_t part) {
        size_t row = static_cast<size_t>(n) * length + t;
        return row * 3 * channels + part * channels + static_cast<size_t>(h) * size + d;
      };
      auto out = [&](size_t t, size_t d) {
        return (static_cast<size_t>(n) * length + t) * channels + static_cast<size_t>(h) * size + d;
      };
      Matrix p(length, std::vector<double>(length)), kept = p, dp = p, ds = p;
      for (size_t i = 0; i < length; ++i) {
        double sum = 0;
        for (size_t j = 0; j < (c.causal ? i + 1 : length); ++j) {
          double score = 0;
          for (size_t d = 0; d < size; ++d) score += qkv[at(i, d, 0)] * qkv[at(j, d, 1)];
          p[i][j] = std::exp(score / std::sqrt(static_cast<double>(size)));
          sum += p[i][j];
        }
        result.logsumexp.push_back(std::log(sum));
        for (size_t j = 0; j < length; ++j) {
          p[i][j] /= sum;
          bool keeps = c.rate == 0 || attention_keeps(scalars, 2, e, n, h, static_cast<int64_t>(i),
                                                      static_cast<int64_t>(j), static_cast<float>(c.rate));
          kept[i][j] = keeps ? 1 / (1 - c.rate) : 0;
        }
      }
      for (size_t i = 0; i < length; ++i) {
        double mean = 0;
        for (size_t j = 0; j < length; ++j) {
          for (size_t d = 0; d < size; ++d) {
            result.y[out(i, d)] += kept[i][j] * p[i][j] * qkv[at(j, d, 2)];
            result.dqkv[at(j, d, 2)] += kept[i][j] * p[i][j] * dy[out(i, d)];
            dp[i][j] += kept[i][j] * dy[out(i, d)] * qkv[at(j, d, 2)];
          }
          mean += p[i][j] * dp[i][j];
        }
        for (size_t j = 0; j < length; ++j) ds[i][j] = p[i][j] * (dp[i][j] - mean);
      }
      for (size_t i = 0; i < length; ++i) {
        for (size_t j = 0; j < length; ++j) {
          double slope = ds[i][j] / std::sqrt(static_cast<double>(size));
          for (size_t d = 0; d < size; ++d) {
            result.dqkv[at(i, d, 0)] += slope * qkv[at(j, d, 1)];
            result.dqkv[at(j, d, 1)] += slope * qkv[at(i, d, 0)];
          }
        }
      }
    }
  }
  return result;
}

// Normal draws, so that rows are far from even.
std::vector<double> normal_values(size_t count, uint64_t seed) {
  RandomStream stream(seed, Purpose::test);
  std::vector<double> values(count);
  for (double& value : values) value = stream.normal();
  return values;
}

// Both directions of one case on a backend.
struct Blocked {
  Blocked(const Case& c, Backend& backend, DType type = DType::float32)
      : sample(sample_graph(find_op("attention"), sample_of(c), type)) {
    dy = sample.graph.add_input("dy", sample.graph.value(sample.outputs[0]).type);
    GraphWriter writer(sample.graph, "gradient");
    find_op("attention").gradient(writer, sample.graph.nodes[0], dy);
    run = std::make_unique<GraphRun>(sample.graph, backend);
  }
  static OpSample sample_of(const Case& c) {
    const AttentionExtents& e = c.extents;
    return {.inputs = {{e.samples, e.length, 3 * e.channels}}, .attributes = c.attributes()};
  }
  // Values are rounded to the type; what is left of them comes back.
  void give(ValueId id, std::vector<double>& values) {
    DType type = sample.graph.value(id).type.dtype;
    round_to(type, values);
    write_floating(type, run->data<char>(id), values);
  }
  ValueId qkv() const { return sample.inputs[0]; }
  ValueId dqkv() const { return sample.graph.nodes[1].outputs[0]; }
  SampleGraph sample;
  ValueId dy;
  std::unique_ptr<GraphRun> run;
};

size_t elements(const AttentionExtents& e, int64_t parts) {
  return static_cast<size_t>(e.samples * e.length * e.channels * parts);
}

void expect_plain(const Case& c, Backend& backend, DType type, double tolerance) {
  const AttentionExtents& e = c.extents;
  SCOPED_TRACE(
      fmt::format("length {}, head size {}, causal {}, rate {}", e.length, e.head_size(), c.causal, c.rate));
  Blocked blocked(c, backend, type);
  std::vector<double> qkv = normal_values(elements(e, 3), 1), dy = normal_values(elements(e, 1), 2);
  blocked.give(blocked.qkv(), qkv);
  blocked.give(blocked.dy, dy);
  blocked.run->run(test_scalars());
  Plain plain = plain_attention(c, qkv, dy, test_scalars());
  EXPECT_LT(relative_error(blocked.run->values(blocked.sample.outputs[0]), plain.y), tolerance);
  EXPECT_LT(relative_error(blocked.run->values(blocked.sample.outputs[1]), plain.logsumexp), 1e-5);
  EXPECT_LT(relative_error(blocked.run->values(blocked.dqkv()), plain.dqkv), tolerance);
  EXPECT_TRUE(blocked.run->overruns().empty());
}

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
  Case c = {{3, GetParam(), 96, 3}, true, 0.1};
  std::vector<std::vector<double>> results[2];
  for (int threads : {1, 2}) {
    auto cpu = make_cpu_backend({threads});
    Blocked blocked(c, *cpu);
    std::vector<double> qkv = normal_values(elements(c.extents, 3), 1),
                        dy = normal_values(elements(c.extents, 1), 2);
    blocked.give(blocked.qkv(), qkv);
    blocked.give(blocked.dy, dy);
    blocked.run->run(test_scalars());
    for (ValueId id : {blocked.sample.outputs[0], blocked.sample.outputs[1], blocked.dqkv()}) {
      results[threads - 1].push_back(blocked.run->values(id));
    }
  }
  EXPECT_EQ(results[0], results[1]);
}

// Two ranks with half of the samples each draw what one rank with all of them draws.
TEST(AttentionDropout, DependsOnTheSampleOfTheGlobalBatch) {
  auto cpu = make_cpu_backend({1});
  Case whole = {{4, 9, 16, 2}, true, 0.3}, half = {{2, 9, 16, 2}, true, 0.3};
  std::vector<double> qkv = normal_values(elements(whole.extents, 3), 1);
  StepScalars scalars = test_scalars();
  auto outputs = [&](const Case& c, size_t begin) {
    Blocked blocked(c, *cpu);
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
  Case c = {{1, 70, 32, 1}, true};
  Blocked blocked(c, *cpu);
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
