// Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1) and AdamW (Loshchilov and Hutter, "Decoupled weight
// decay regularization", arXiv 1711.05101, algorithm 2), t = step + 1:
//
//   Adam:   g = gradient + weight_decay * p                 AdamW:  g = gradient
//                                                                   p = p * (1 - learning_rate *
//                                                                   weight_decay)
//   m = beta1 * m + (1 - beta1) * g
//   v = beta2 * v + (1 - beta2) * g^2
//   p = p - learning_rate / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + epsilon)
//
// Memory bound: 16 bytes read and 12 written a parameter, in one pass.
#include "optim/adam_factors.h"

#include "base/clones.h"

namespace trireme {
namespace {

// `pull`: Adam's weight_decay or AdamW's 1 - learning_rate * weight_decay.
struct Move {
  float pull, step_size;
};

TRIREME_CLONES void adam_loop(size_t n, float* __restrict p, const float* __restrict g, float* __restrict m,
                              float* __restrict v, AdamFactors f, Move move) {
#pragma omp simd
  for (size_t i = 0; i < n; ++i) {
    float gradient = f.scale * g[i] + move.pull * p[i];
    float first = f.beta1 * m[i] + f.rest1 * gradient;
    float second = f.beta2 * v[i] + f.rest2 * gradient * gradient;
    m[i] = first;
    v[i] = second;
    p[i] -= move.step_size * first / (std::sqrt(second) * f.root_scale + f.epsilon);
  }
}

TRIREME_CLONES void adamw_loop(size_t n, float* __restrict p, const float* __restrict g, float* __restrict m,
                               float* __restrict v, AdamFactors f, Move move) {
#pragma omp simd
  for (size_t i = 0; i < n; ++i) {
    float gradient = f.scale * g[i];
    float first = f.beta1 * m[i] + f.rest1 * gradient;
    float second = f.beta2 * v[i] + f.rest2 * gradient * gradient;
    m[i] = first;
    v[i] = second;
    p[i] = move.pull * p[i] - move.step_size * first / (std::sqrt(second) * f.root_scale + f.epsilon);
  }
}

class Adam : public Optimizer {
 public:
  Adam(const OptimizerConfig& config, std::vector<UpdateSpan> spans, bool decoupled)
      : Optimizer(config, std::move(spans), {"first_moment", "second_moment"}), decoupled_(decoupled) {}

 private:
  void move(const Part& part, const UpdateStep& step) override {
    AdamFactors factors = adam_factors(config(), step);
    double decay = part.span.weight_decay;
    Move move{static_cast<float>(decoupled_ ? 1 - part.rate * decay : decay),
              static_cast<float>(part.rate / factors.first_correction)};
    auto* loop = decoupled_ ? adamw_loop : adam_loop;
    loop(part.size, part.parameters, part.gradients, slot(0, part), slot(1, part), factors, move);
  }

  bool decoupled_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adam(const OptimizerConfig& config, std::vector<UpdateSpan> spans) {
  return std::make_unique<Adam>(config, std::move(spans), false);
}

std::unique_ptr<Optimizer> make_adamw(const OptimizerConfig& config, std::vector<UpdateSpan> spans) {
  return std::make_unique<Adam>(config, std::move(spans), true);
}

}  // namespace trireme
