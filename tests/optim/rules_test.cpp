// Every update rule against its formula in double precision, written down here once more, over many steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "optim/optimizer.h"

namespace trireme {
namespace {

constexpr size_t n = 1003;  // no multiple of any vector length

std::vector<float> draw(uint64_t key, float scale) {
  RandomStream stream(key, Purpose::test);
  std::vector<float> values(n);
  for (float& value : values) value = scale * stream.normal();
  return values;
}

// The oracle: one parameter in double precision.
struct Oracle {
  OptimizerConfig config;
  double p = 0, v = 0, m = 0;
  void step(double g, double learning_rate, int64_t t, bool decay) {
    double weight_decay = decay ? config.weight_decay : 0;
    if (config.kind == "sgd") {
      g += weight_decay * p;
      v = t == 0 ? g : config.momentum * v + g;  // PyTorch: the first velocity is the gradient itself
      double direction = config.momentum == 0 ? g : config.nesterov ? g + config.momentum * v : v;
      p -= learning_rate * direction;
    } else {
      p -= learning_rate * weight_decay * p;
      m = config.beta1 * m + (1 - config.beta1) * g;
      v = config.beta2 * v + (1 - config.beta2) * g * g;
      double m_hat = m / (1 - std::pow(config.beta1, t + 1));
      double v_hat = v / (1 - std::pow(config.beta2, t + 1));
      p -= learning_rate * m_hat / (std::sqrt(v_hat) + config.epsilon);
    }
  }
};

void compare(const OptimizerConfig& config, bool decay) {
  auto optimizer = make_optimizer(config, n);
  std::vector<float> parameters = draw(1, 1.0f);
  std::vector<Oracle> oracle(n, Oracle{config});
  for (size_t i = 0; i < n; ++i) oracle[i].p = parameters[i];
  for (int64_t t = 0; t < 200; ++t) {
    std::vector<float> gradients = draw(100 + static_cast<uint64_t>(t), 0.3f);
    double rate = 0.01 * (1 + std::cos(static_cast<double>(t)));
    double scale = t % 3 == 0 ? 0.5 : 1.0;
    UpdateStep step{rate, t, scale, decay};
    optimizer->update({0, 500}, parameters.data(), gradients.data(), step);
    optimizer->update({500, n}, parameters.data(), gradients.data(), step);
    for (size_t i = 0; i < n; ++i) oracle[i].step(scale * gradients[i], rate, t, decay);
  }
  for (size_t i = 0; i < n; ++i)
    ASSERT_NEAR(parameters[i], oracle[i].p, 2e-4 * (1 + std::abs(oracle[i].p))) << i;
}

OptimizerConfig sgd(double momentum, bool nesterov, double decay) {
  OptimizerConfig config;
  config.kind = "sgd";
  config.momentum = momentum;
  config.nesterov = nesterov;
  config.weight_decay = decay;
  return config;
}

TEST(Sgd, plain) { compare(sgd(0, false, 0), true); }
TEST(Sgd, plain_with_decay) { compare(sgd(0, false, 0.01), true); }
TEST(Sgd, momentum) { compare(sgd(0.9, false, 0), true); }
TEST(Sgd, momentum_with_decay) { compare(sgd(0.9, false, 0.05), true); }
TEST(Sgd, nesterov_with_decay) { compare(sgd(0.8, true, 0.05), true); }
TEST(Sgd, decay_is_left_out_where_told) { compare(sgd(0.9, false, 0.5), false); }

TEST(AdamW, formula) {
  OptimizerConfig config;
  config.kind = "adamw";
  config.weight_decay = 0;
  compare(config, true);
  config.weight_decay = 0.1;
  compare(config, true);
  compare(config, false);
  config.beta1 = 0.5;
  config.beta2 = 0.9;
  config.epsilon = 1e-3;
  compare(config, true);
}

TEST(AdamW, first_step_has_the_length_of_the_learning_rate) {
  OptimizerConfig config;
  config.kind = "adamw";
  auto optimizer = make_optimizer(config, 2);
  std::vector<float> p{1, 1}, g{1e-3f, -7};
  optimizer->update({0, 2}, p.data(), g.data(), {0.01, 0, 1, true});
  EXPECT_NEAR(p[0], 0.99, 1e-6);
  EXPECT_NEAR(p[1], 1.01, 1e-6);
}

TEST(Optimizer, result_does_not_depend_on_the_cut) {
  for (std::string_view kind : optimizer_kinds()) {
    OptimizerConfig config;
    config.kind = kind;
    config.weight_decay = 0.01;
    auto whole = make_optimizer(config, n);
    auto pieces = make_optimizer(config, n);
    std::vector<float> a = draw(1, 1), b = a;
    for (int64_t t = 0; t < 5; ++t) {
      std::vector<float> g = draw(50 + static_cast<uint64_t>(t), 1);
      whole->update({0, n}, a.data(), g.data(), {0.1, t, 1, true});
      for (size_t begin = 0; begin < n; begin += 37) {
        pieces->update({begin, std::min(n, begin + 37)}, b.data(), g.data(), {0.1, t, 1, true});
      }
    }
    EXPECT_EQ(a, b) << kind;  // to the bit
  }
}

TEST(Optimizer, padding_stays_zero) {
  for (std::string_view kind : optimizer_kinds()) {
    OptimizerConfig config;
    config.kind = kind;
    config.weight_decay = 0.1;
    auto optimizer = make_optimizer(config, 16);
    std::vector<float> p(16, 0.0f), g(16, 0.0f);
    for (int64_t t = 0; t < 3; ++t) optimizer->update({0, 16}, p.data(), g.data(), {0.1, t, 1, true});
    EXPECT_EQ(p, std::vector<float>(16, 0.0f)) << kind;
  }
}

TEST(Optimizer, memory_is_named) {
  EXPECT_TRUE(make_optimizer(sgd(0, false, 0), 4)->memory().empty());
  auto momentum = make_optimizer(sgd(0.9, false, 0), 4);
  ASSERT_EQ(momentum->memory().size(), 1u);
  EXPECT_EQ(momentum->memory()[0].name, "momentum");
  EXPECT_EQ(momentum->memory()[0].values.bytes(), 16u);
}

TEST(Optimizer, unknown_kind) {
  OptimizerConfig config;
  config.kind = "lion";
  EXPECT_THROW(make_optimizer(config, 4), ConfigError);
}

}  // namespace
}  // namespace trireme
