// Stochastic gradient descent with momentum (Sutskever et al., "On the importance of initialization and
// momentum in deep learning", 2013) in the form of PyTorch's torch.optim.SGD, dampening 0:
//
//   g = gradient + weight_decay * p
//   v = momentum * v + g
//   p = p - learning_rate * (nesterov ? g + momentum * v : v)
//
// Memory bound: with momentum 12 bytes read and 8 written a parameter, in one pass.
#include "base/clones.h"
#include "optim/optimizer.h"

namespace trireme {
namespace {

struct Factors {
  float learning_rate, momentum, decay, scale;
};

TRIREME_CLONES void plain_loop(size_t n, float* __restrict p, const float* __restrict g, Factors f) {
#pragma omp simd
  for (size_t i = 0; i < n; ++i) p[i] -= f.learning_rate * (f.scale * g[i] + f.decay * p[i]);
}

TRIREME_CLONES void momentum_loop(size_t n, float* __restrict p, const float* __restrict g,
                                  float* __restrict v, Factors f) {
#pragma omp simd
  for (size_t i = 0; i < n; ++i) {
    float velocity = f.momentum * v[i] + (f.scale * g[i] + f.decay * p[i]);
    v[i] = velocity;
    p[i] -= f.learning_rate * velocity;
  }
}

TRIREME_CLONES void nesterov_loop(size_t n, float* __restrict p, const float* __restrict g,
                                  float* __restrict v, Factors f) {
#pragma omp simd
  for (size_t i = 0; i < n; ++i) {
    float gradient = f.scale * g[i] + f.decay * p[i];
    float velocity = f.momentum * v[i] + gradient;
    v[i] = velocity;
    p[i] -= f.learning_rate * (gradient + f.momentum * velocity);
  }
}

class Sgd : public Optimizer {
 public:
  Sgd(const OptimizerConfig& config, std::vector<UpdateSpan> spans)
      : Optimizer(config, std::move(spans),
                  config.momentum > 0 ? std::vector<std::string_view>{"momentum"}
                                      : std::vector<std::string_view>{}) {}

 private:
  void move(const Part& part, const UpdateStep& step) override {
    Factors factors{static_cast<float>(part.rate), static_cast<float>(config().momentum),
                    static_cast<float>(part.span.weight_decay), static_cast<float>(step.gradient_scale)};
    if (config().momentum == 0) {
      plain_loop(part.size, part.parameters, part.gradients, factors);
      return;
    }
    auto* loop = config().nesterov ? nesterov_loop : momentum_loop;
    loop(part.size, part.parameters, part.gradients, slot(0, part), factors);
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(const OptimizerConfig& config, std::vector<UpdateSpan> spans) {
  return std::make_unique<Sgd>(config, std::move(spans));
}

}  // namespace trireme
