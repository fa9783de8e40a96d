// Every update rule against its paper's formula in double precision, written down here once more, over many
// steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "optim/optimizer.h"

namespace trireme {
namespace {

constexpr size_t n = 5003;  // no multiple of any vector length, more than one block of a norm

std::vector<float> draw(uint64_t key, float scale) {
  RandomStream stream(key, Purpose::test);
  std::vector<float> values(n);
  for (float& value : values) value = scale * stream.normal();
  return values;
}

OptimizerConfig config_of(std::string kind, double decay = 0) {
  OptimizerConfig config;
  config.kind = std::move(kind);
  config.weight_decay = decay;
  return config;
}

// The whole of `elements` as one tensor that decays.
std::vector<UpdateSpan> one_tensor(size_t elements, const OptimizerConfig& config) {
  return {{.range = {0, elements}, .weight_decay = config.weight_decay}};
}

double norm(const std::vector<double>& x) {
  double sum = 0;
  for (double value : x) sum += value * value;
  return std::sqrt(sum);
}

// The oracle: one tensor in double precision, a value at a time.
struct Oracle {
  OptimizerConfig config;
  UpdateSpan span;
  std::vector<double> p, v, m;

  Oracle(const OptimizerConfig& c, const UpdateSpan& s, const std::vector<float>& start)
      : config(c), span(s), p(start.begin(), start.end()), v(p.size()), m(p.size()) {}

  void step(const std::vector<double>& gradient, double learning_rate, int64_t t) {
    learning_rate *= span.learning_rate_factor;
    double decay = span.weight_decay;
    const std::string& kind = config.kind;
    std::vector<double> u(p.size());  // lamb's direction
    double local = 1;                 // lars' rate
    if (kind == "lars" && span.trust_ratio) {
      local = config.trust_coefficient * norm(p) / (norm(gradient) + decay * norm(p));
    }
    for (size_t i = 0; i < p.size(); ++i) {
      double g = gradient[i];
      if (kind != "adamw" && kind != "lamb") g += decay * p[i];
      if (kind == "sgd") {
        v[i] = t == 0 ? g : config.momentum * v[i] + g;  // PyTorch: the first velocity is the gradient itself
        double direction = config.momentum == 0 ? g : config.nesterov ? g + config.momentum * v[i] : v[i];
        p[i] -= learning_rate * direction;
      } else if (kind == "rmsprop") {
        v[i] = config.smoothing * v[i] + (1 - config.smoothing) * g * g;
        p[i] -= learning_rate * g / (std::sqrt(v[i]) + config.epsilon);
      } else if (kind == "adagrad") {
        v[i] += g * g;
        p[i] -= learning_rate * g / (std::sqrt(v[i]) + config.epsilon);
      } else if (kind == "lars") {
        v[i] = config.momentum * v[i] + learning_rate * local * g;
        p[i] -= v[i];
      } else {
        m[i] = config.beta1 * m[i] + (1 - config.beta1) * g;
        v[i] = config.beta2 * v[i] + (1 - config.beta2) * g * g;
        double m_hat = m[i] / (1 - std::pow(config.beta1, t + 1));
        double v_hat = v[i] / (1 - std::pow(config.beta2, t + 1));
        u[i] = m_hat / (std::sqrt(v_hat) + config.epsilon);
        if (kind == "adamw") p[i] -= learning_rate * decay * p[i];
        if (kind == "lamb") u[i] += decay * p[i];
        if (kind != "lamb") p[i] -= learning_rate * u[i];
      }
    }
    if (kind != "lamb") return;
    double ratio = span.trust_ratio ? norm(p) / norm(u) : 1;
    for (size_t i = 0; i < p.size(); ++i) p[i] -= learning_rate * ratio * u[i];
  }
};

// Two tensors, the second moving otherwise, and a range for each (or, where the rule allows, cut elsewhere).
void compare(const OptimizerConfig& config, const UpdateSpan& first = {}, const UpdateSpan& second = {}) {
  constexpr size_t border = 4200;
  UpdateSpan a = first, b = second;
  a.range = {0, border};
  b.range = {border, n};
  auto optimizer = make_optimizer(config, {a, b});
  size_t cut = optimizer->cut() == Cut::anywhere ? 501 : border;
  std::vector<float> parameters = draw(1, 1.0f);
  Oracle one(config, a, {parameters.begin(), parameters.begin() + border});
  Oracle two(config, b, {parameters.begin() + border, parameters.end()});
  for (int64_t t = 0; t < 100; ++t) {
    std::vector<float> gradients = draw(100 + static_cast<uint64_t>(t), 0.3f);
    double rate = 0.01 * (1.5 + std::cos(static_cast<double>(t)));
    double scale = t % 3 == 0 ? 0.5 : 1.0;
    optimizer->update({0, cut}, parameters.data(), gradients.data(), {rate, t, scale});
    optimizer->update({cut, n}, parameters.data(), gradients.data(), {rate, t, scale});
    std::vector<double> scaled(gradients.begin(), gradients.end());
    for (double& value : scaled) value *= scale;
    one.step({scaled.begin(), scaled.begin() + border}, rate, t);
    two.step({scaled.begin() + border, scaled.end()}, rate, t);
  }
  for (size_t i = 0; i < n; ++i) {
    double expected = i < border ? one.p[i] : two.p[i - border];
    ASSERT_NEAR(parameters[i], expected, 2e-4 * (1 + std::abs(expected))) << config.kind << ' ' << i;
  }
}

// Every rule, with and without decay, with other factors in one of two tensors.
class Rules : public testing::TestWithParam<std::string_view> {};

TEST_P(Rules, FollowTheirFormula) {
  OptimizerConfig config = config_of(std::string(GetParam()));
  config.trust_coefficient = 0.05;
  UpdateSpan decays{.weight_decay = 0.1};
  UpdateSpan free{.trust_ratio = false};
  UpdateSpan slow{.learning_rate_factor = 0.25, .weight_decay = 0.02};
  compare(config);
  compare(config, decays, free);
  compare(config, slow, decays);
  config.beta1 = 0.5;
  config.beta2 = 0.9;
  config.smoothing = 0.8;
  config.epsilon = 1e-3;
  config.momentum = 0.7;
  compare(config, decays, slow);
}

TEST_P(Rules, DoNotDependOnTheCut) {
  OptimizerConfig config = config_of(std::string(GetParam()));
  std::vector<UpdateSpan> spans;
  for (size_t begin = 0; begin < n; begin += 1000) {
    spans.push_back({.range = {begin, std::min(n, begin + 1000)},
                     .learning_rate_factor = 1.0 / static_cast<double>(1 + spans.size()),
                     .weight_decay = 0.01 * static_cast<double>(spans.size())});
  }
  auto whole = make_optimizer(config, spans);
  auto pieces = make_optimizer(config, spans);
  size_t piece = whole->cut() == Cut::anywhere ? 37 : 2000;
  std::vector<float> a = draw(1, 1), b = a;
  for (int64_t t = 0; t < 5; ++t) {
    std::vector<float> g = draw(50 + static_cast<uint64_t>(t), 1);
    whole->update({0, n}, a.data(), g.data(), {0.1, t, 1});
    for (size_t begin = 0; begin < n; begin += piece) {
      pieces->update({begin, std::min(n, begin + piece)}, b.data(), g.data(), {0.1, t, 1});
    }
  }
  EXPECT_EQ(a, b);  // to the bit
}

// A range that several threads share out, in spans smaller and larger than a thread's part.
TEST_P(Rules, DoNotDependOnTheNumberOfThreads) {
  OptimizerConfig config = config_of(std::string(GetParam()));
  std::vector<UpdateSpan> spans;
  for (size_t size : {48, 100000, 16, 70000, 32, 40000}) {
    size_t begin = spans.empty() ? 0 : spans.back().range.end;
    spans.push_back({.range = {begin, begin + size},
                     .learning_rate_factor = 1.0 / static_cast<double>(1 + spans.size()),
                     .weight_decay = 0.01 * static_cast<double>(spans.size())});
  }
  size_t size = spans.back().range.end;
  auto values = [&](uint64_t seed) {
    RandomStream stream(seed, Purpose::test);
    std::vector<float> drawn(size);
    for (float& value : drawn) value = stream.normal();
    return drawn;
  };
  std::vector<float> alone;
  for (int threads : {1, 2, 3}) {
    auto optimizer = make_optimizer(config, spans);
    optimizer->use_threads(threads);
    std::vector<float> p = values(1);
    for (int64_t t = 0; t < 3; ++t) {
      std::vector<float> g = values(50 + static_cast<uint64_t>(t));
      optimizer->update({0, size}, p.data(), g.data(), {0.1, t, 0.5});
    }
    if (threads == 1) alone = p;
    EXPECT_EQ(p, alone) << threads << " threads";  // to the bit
  }
}

TEST_P(Rules, LeavePaddingZero) {
  OptimizerConfig config = config_of(std::string(GetParam()), 0.1);
  auto optimizer = make_optimizer(config, one_tensor(32, config));
  std::vector<float> p(32, 0.0f), g(32, 0.0f);
  std::fill_n(p.begin(), 9, 1.0f);
  std::fill_n(g.begin(), 9, 0.5f);
  for (int64_t t = 0; t < 3; ++t) optimizer->update({0, 32}, p.data(), g.data(), {0.1, t, 1});
  EXPECT_NE(p[8], 1.0f);
  EXPECT_EQ(std::vector<float>(p.begin() + 9, p.end()), std::vector<float>(23, 0.0f));
  for (OptimizerMemory& memory : optimizer->memory()) {
    for (size_t i = 9; i < 32; ++i) EXPECT_EQ(memory.values.as<float>()[i], 0.0f);
  }
}

// A tensor of zeros without gradient has no norm to divide by.
TEST_P(Rules, StayFiniteAtZero) {
  OptimizerConfig config = config_of(std::string(GetParam()), 0.1);
  auto optimizer = make_optimizer(config, one_tensor(16, config));
  std::vector<float> p(16, 0.0f), g(16, 0.0f);
  optimizer->update({0, 16}, p.data(), g.data(), {0.1, 0, 1});
  EXPECT_EQ(p, std::vector<float>(16, 0.0f));
  g[3] = 2;
  optimizer->update({0, 16}, p.data(), g.data(), {0.1, 1, 1});
  EXPECT_LT(p[3], 0.0f) << "a tensor of zeros moves too";
  EXPECT_TRUE(std::isfinite(p[3]));
}

// A bowl of very unequal axes, (1/2) sum a_i (p_i - c_i)^2.
TEST_P(Rules, LowerALoss) {
  OptimizerConfig config = config_of(std::string(GetParam()));
  config.trust_coefficient = 0.02;
  auto optimizer = make_optimizer(config, one_tensor(n, config));
  std::vector<float> p = draw(1, 1), target = draw(2, 1), g(n);
  auto curvature = [](size_t i) { return i % 2 == 0 ? 1.0 : 0.05; };
  auto loss = [&] {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += 0.5 * curvature(i) * std::pow(p[i] - target[i], 2);
    return sum;
  };
  double rate = GetParam() == "lars" ? 1.0 : GetParam() == "adagrad" ? 0.3 : 0.03;
  double before = loss();
  for (int64_t t = 0; t < 300; ++t) {
    for (size_t i = 0; i < n; ++i) g[i] = static_cast<float>(curvature(i) * (p[i] - target[i]));
    optimizer->update({0, n}, p.data(), g.data(), {rate * (1 - static_cast<double>(t) / 300), t, 1});
  }
  EXPECT_LT(loss(), 0.1 * before);
}

INSTANTIATE_TEST_SUITE_P(All, Rules, testing::ValuesIn(optimizer_kinds()),
                         [](const auto& instance) { return std::string(instance.param); });

TEST(Rules, AreThoseThatAConfigMayName) {
  EXPECT_EQ(optimizer_kinds(),
            (std::vector<std::string_view>{"sgd", "adam", "adamw", "rmsprop", "adagrad", "lamb", "lars"}));
}

TEST(Sgd, WithAndWithoutMomentum) {
  OptimizerConfig config = config_of("sgd");
  config.momentum = 0;
  compare(config, {.weight_decay = 0.01});
  EXPECT_TRUE(make_optimizer(config, one_tensor(4, config))->memory().empty());
  config.momentum = 0.8;
  config.nesterov = true;
  compare(config, {.weight_decay = 0.05});
  auto optimizer = make_optimizer(config, one_tensor(4, config));
  ASSERT_EQ(optimizer->memory().size(), 1u);
  EXPECT_EQ(optimizer->memory()[0].name, "momentum");
  EXPECT_EQ(optimizer->memory()[0].values.bytes(), 16u);
}

TEST(AdamW, FirstStepHasTheLengthOfTheLearningRate) {
  OptimizerConfig config = config_of("adamw");
  auto optimizer = make_optimizer(config, one_tensor(2, config));
  std::vector<float> p{1, 1}, g{1e-3f, -7};
  optimizer->update({0, 2}, p.data(), g.data(), {0.01, 0, 1});
  EXPECT_NEAR(p[0], 0.99, 1e-6);
  EXPECT_NEAR(p[1], 1.01, 1e-6);
}

// Known by arithmetic: |p| = 5; |g| = 10, so a step of lars is 0.001 * 5 / 10 * g.
TEST(Lars, StepIsAPartOfTheTensorsLength) {
  OptimizerConfig config = config_of("lars");
  auto optimizer = make_optimizer(config, one_tensor(2, config));
  std::vector<float> p{3, 4}, g{0, 10};
  optimizer->update({0, 2}, p.data(), g.data(), {2.0, 0, 1});
  EXPECT_FLOAT_EQ(p[0], 3.0f);
  EXPECT_FLOAT_EQ(p[1], 4.0f - 2.0f * 0.001f * 5 / 10 * 10);
}

// The first direction is the gradient's sign: |u| = sqrt(2), |p| = 5.
TEST(Lamb, StepIsAPartOfTheTensorsLength) {
  OptimizerConfig config = config_of("lamb");
  auto optimizer = make_optimizer(config, one_tensor(2, config));
  std::vector<float> p{3, 4}, g{-0.1f, 10};
  optimizer->update({0, 2}, p.data(), g.data(), {0.01, 0, 1});
  EXPECT_NEAR(p[0], 3 + 0.01 * 5 / std::sqrt(2.0), 1e-6);
  EXPECT_NEAR(p[1], 4 - 0.01 * 5 / std::sqrt(2.0), 1e-6);
}

TEST(Optimizer, RefusesWhatItCannotMove) {
  OptimizerConfig config = config_of("lamb");
  auto whole = make_optimizer(config, {{.range = {0, 16}}, {.range = {16, 48}}});
  std::vector<float> p(64), g(64);
  EXPECT_THROW(whole->update({0, 32}, p.data(), g.data(), {0.1, 0, 1}), GraphError);
  EXPECT_THROW(whole->update({8, 16}, p.data(), g.data(), {0.1, 0, 1}), GraphError);
  EXPECT_THROW(whole->update({16, 64}, p.data(), g.data(), {0.1, 0, 1}), GraphError);
  EXPECT_NO_THROW(whole->update({16, 48}, p.data(), g.data(), {0.1, 0, 1}));
  EXPECT_NO_THROW(whole->update({7, 7}, p.data(), g.data(), {0.1, 0, 1}));
  EXPECT_THROW(make_optimizer(config, {{.range = {0, 16}}, {.range = {8, 48}}}), GraphError);
  auto parts = make_optimizer(config, {{.range = {0, 16}}, {.range = {32, 48}}});
  EXPECT_EQ(parts->memory()[0].values.bytes(), 32 * sizeof(float));
  EXPECT_NO_THROW(parts->update({32, 48}, p.data(), g.data(), {0.1, 0, 1}));
  EXPECT_THROW(parts->update({0, 48}, p.data(), g.data(), {0.1, 0, 1}), GraphError);
  EXPECT_THROW(parts->update({16, 32}, p.data(), g.data(), {0.1, 0, 1}), GraphError);
  EXPECT_THROW(make_optimizer(config_of("lion"), {}), ConfigError);
}

}  // namespace
}  // namespace trireme
