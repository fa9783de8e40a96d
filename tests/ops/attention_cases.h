// Attention and its gradient by a plain implementation that writes every matrix out, and on a backend.
#pragma once

#include "ops/attention.h"
#include "ops/op_runner.h"

namespace trireme::test {

struct AttentionCase {
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
inline Plain plain_attention(const AttentionCase& c, const std::vector<double>& qkv,
                             const std::vector<double>& dy, const StepScalars& scalars) {
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
inline std::vector<double> normal_values(size_t count, uint64_t seed) {
  RandomStream stream(seed, Purpose::test);
  std::vector<double> values(count);
  for (double& value : values) value = stream.normal();
  return values;
}

// Both directions of one case on a backend.
struct AttentionRun {
  AttentionRun(const AttentionCase& c, Backend& backend, DType type = DType::float32)
      : sample(sample_graph(find_op("attention"), sample_of(c), type)) {
    dy = sample.graph.add_input("dy", sample.graph.value(sample.outputs[0]).type);
    GraphWriter writer(sample.graph, "gradient");
    find_op("attention").gradient(writer, sample.graph.nodes[0], dy);
    run = std::make_unique<GraphRun>(sample.graph, backend);
  }
  static OpSample sample_of(const AttentionCase& c) {
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

inline size_t elements(const AttentionExtents& e, int64_t parts) {
  return static_cast<size_t>(e.samples * e.length * e.channels * parts);
}

inline void expect_plain(const AttentionCase& c, Backend& backend, DType type, double tolerance) {
  const AttentionExtents& e = c.extents;
  SCOPED_TRACE(
      fmt::format("length {}, head size {}, causal {}, rate {}", e.length, e.head_size(), c.causal, c.rate));
  AttentionRun blocked(c, backend, type);
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

// y, logsumexp and dqkv of normal draws.
inline std::vector<std::vector<double>> attention_results(const AttentionCase& c, Backend& backend,
                                                          DType type = DType::float32) {
  AttentionRun run(c, backend, type);
  std::vector<double> qkv = normal_values(elements(c.extents, 3), 1),
                      dy = normal_values(elements(c.extents, 1), 2);
  run.give(run.qkv(), qkv);
  run.give(run.dy, dy);
  run.run->run(test_scalars());
  std::vector<std::vector<double>> results;
  for (ValueId id : {run.sample.outputs[0], run.sample.outputs[1], run.dqkv()}) {
    results.push_back(run.run->values(id));
  }
  return results;
}

}  // namespace trireme::test
