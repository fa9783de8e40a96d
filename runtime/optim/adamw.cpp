// Adam (Kingma and Ba, 2015) with decoupled weight decay (Loshchilov and Hutter, "Decoupled weight decay
// regularization", 2019, algorithm 2), t = step + 1:
//
//   p = p * (1 - learning_rate * weight_decay)
//   m = beta1 * m + (1 - beta1) * g
//   v = beta2 * v + (1 - beta2) * g^2
//   p = p - learning_rate / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + epsilon)
//
// Memory bound: 16 bytes read and 12 written a parameter, in one pass.
#include <cmath>

#include "optim/clones.h"
#include "optim/optimizer.h"

namespace trireme {
namespace {

struct Factors {
  float keep, beta1, beta2, rest1, rest2, step_size, root_scale, epsilon, scale;
};

TRIREME_CLONES void adamw_loop(size_t n, float* __restrict p, const float* __restrict g, float* __restrict m,
                float* __restrict v, Factors f) {
#pragma omp simd
  for (size_t i = 0; i < n; ++i) {
    float gradient = f.scale * g[i];
    float first = f.beta1 * m[i] + f.rest1 * gradient;
    float second = f.beta2 * v[i] + f.rest2 * gradient * gradient;
    m[i] = first;
    v[i] = second;
    p[i] = f.keep * p[i] - f.step_size * first / (std::sqrt(second) * f.root_scale + f.epsilon);
  }
}

class AdamW : public Optimizer {
 public:
  AdamW(const OptimizerConfig& config, size_t parameter_elements) : config_(config) {
    for (const char* slot : {"first_moment", "second_moment"}) {
      memory_.push_back({slot, Buffer(parameter_elements * sizeof(float))});
    }
  }
  std::string name() const override { return "adamw"; }
  std::vector<OptimizerMemory>& memory() override { return memory_; }

  void update(Range range, float* parameters, const float* gradients, const UpdateStep& step) override {
    double t = static_cast<double>(step.step) + 1;
    double decay = step.weight_decay ? config_.weight_decay : 0.0;
    Factors factors{};
    factors.keep = static_cast<float>(1 - step.learning_rate * decay);
    factors.beta1 = static_cast<float>(config_.beta1);
    factors.beta2 = static_cast<float>(config_.beta2);
    factors.rest1 = static_cast<float>(1 - config_.beta1);
    factors.rest2 = static_cast<float>(1 - config_.beta2);
    factors.step_size = static_cast<float>(step.learning_rate / (1 - std::pow(config_.beta1, t)));
    factors.root_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(config_.beta2, t)));
    factors.epsilon = static_cast<float>(config_.epsilon);
    factors.scale = static_cast<float>(step.gradient_scale);
    adamw_loop(range.size(), parameters + range.begin, gradients + range.begin,
               memory_[0].values.as<float>() + range.begin, memory_[1].values.as<float>() + range.begin,
               factors);
  }

 private:
  OptimizerConfig config_;
  std::vector<OptimizerMemory> memory_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adamw(const OptimizerConfig& config, size_t parameter_elements) {
  return std::make_unique<AdamW>(config, parameter_elements);
}

}  // namespace trireme
