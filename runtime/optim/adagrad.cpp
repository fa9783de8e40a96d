// Adagrad (Duchi, Hazan and Singer, "Adaptive subgradient methods", JMLR 12, 2011, the diagonal form) and
// RMSprop (Tieleman and Hinton, "Neural networks for machine learning", lecture 6.5, 2012): the gradient over
// the root of its squares, summed or averaged.
//
//   g = gradient + weight_decay * p
//   Adagrad:  v = v + g^2                                   RMSprop:  v = smoothing * v + (1 - smoothing) *
//   g^2 p = p - learning_rate * g / (sqrt(v) + epsilon)
//
// Memory bound: 12 bytes read and 8 written a parameter, in one pass.
#include <cmath>

#include "base/clones.h"
#include "optim/optimizer.h"

namespace trireme {
namespace {

struct Factors {
  float keep, rest, rate, decay, epsilon, scale;
};

TRIREME_CLONES void root_loop(size_t n, float* __restrict p, const float* __restrict g, float* __restrict v,
                              Factors f) {
#pragma omp simd
  for (size_t i = 0; i < n; ++i) {
    float gradient = f.scale * g[i] + f.decay * p[i];
    float squares = f.keep * v[i] + f.rest * gradient * gradient;
    v[i] = squares;
    p[i] -= f.rate * gradient / (std::sqrt(squares) + f.epsilon);
  }
}

class RootOfSquares : public Optimizer {
 public:
  RootOfSquares(const OptimizerConfig& config, std::vector<UpdateSpan> spans, std::string_view slot,
                double keep, double rest)
      : Optimizer(config, std::move(spans), {slot}), keep_(keep), rest_(rest) {}

 private:
  void move(const Part& part, const UpdateStep& step) override {
    Factors factors{static_cast<float>(keep_),
                    static_cast<float>(rest_),
                    static_cast<float>(part.rate),
                    static_cast<float>(part.span.weight_decay),
                    static_cast<float>(config().epsilon),
                    static_cast<float>(step.gradient_scale)};
    root_loop(part.size, part.parameters, part.gradients, slot(0, part), factors);
  }

  double keep_, rest_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adagrad(const OptimizerConfig& config, std::vector<UpdateSpan> spans) {
  return std::make_unique<RootOfSquares>(config, std::move(spans), "sum_of_squares", 1.0, 1.0);
}

std::unique_ptr<Optimizer> make_rmsprop(const OptimizerConfig& config, std::vector<UpdateSpan> spans) {
  return std::make_unique<RootOfSquares>(config, std::move(spans), "mean_square", config.smoothing,
                                         1 - config.smoothing);
}

}  // namespace trireme
