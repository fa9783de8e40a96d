// Stochastic gradient descent with momentum (Sutskever et al., "On the importance of initialization and
// momentum in deep learning", 2013) in the form of PyTorch's torch.optim.SGD, dampening 0:
//
//   g = gradient + weight_decay * p
//   v = momentum * v + g
//   p = p - learning_rate * (nesterov ? g + momentum * v : v)
//
// Memory bound: with momentum 12 bytes read and 8 written a parameter, in one pass.
#include "optim/optimizer.h"

namespace trireme {
namespace {

struct Factors {
  float learning_rate, momentum, decay, scale;
};

void plain_loop(size_t n, float* __restrict p, const float* __restrict g, Factors f) {
#pragma omp simd
  for (size_t i = 0; i < n; ++i) p[i] -= f.learning_rate * (f.scale * g[i] + f.decay * p[i]);
}

template <bool nesterov>
void momentum_loop(size_t n, float* __restrict p, const float* __restrict g, float* __restrict v, Factors f) {
#pragma omp simd
  for (size_t i = 0; i < n; ++i) {
    float gradient = f.scale * g[i] + f.decay * p[i];
    float velocity = f.momentum * v[i] + gradient;
    v[i] = velocity;
    p[i] -= f.learning_rate * (nesterov ? gradient + f.momentum * velocity : velocity);
  }
}

class Sgd : public Optimizer {
 public:
  Sgd(const OptimizerConfig& config, size_t parameter_elements) : config_(config) {
    if (config.momentum > 0) memory_.push_back({"momentum", Buffer(parameter_elements * sizeof(float))});
  }
  std::string name() const override { return "sgd"; }
  std::vector<OptimizerMemory>& memory() override { return memory_; }

  void update(Range range, float* parameters, const float* gradients, const UpdateStep& step) override {
    Factors factors{static_cast<float>(step.learning_rate), static_cast<float>(config_.momentum),
                    step.weight_decay ? static_cast<float>(config_.weight_decay) : 0.0f,
                    static_cast<float>(step.gradient_scale)};
    float* p = parameters + range.begin;
    const float* g = gradients + range.begin;
    if (memory_.empty()) return plain_loop(range.size(), p, g, factors);
    float* v = memory_[0].values.as<float>() + range.begin;
    if (config_.nesterov) {
      momentum_loop<true>(range.size(), p, g, v, factors);
    } else {
      momentum_loop<false>(range.size(), p, g, v, factors);
    }
  }

 private:
  OptimizerConfig config_;
  std::vector<OptimizerMemory> memory_;
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(const OptimizerConfig& config, size_t parameter_elements) {
  return std::make_unique<Sgd>(config, parameter_elements);
}

}  // namespace trireme
