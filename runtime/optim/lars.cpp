// LARS (You, Gitman and Ginsburg, "Large batch training of convolutional networks", arXiv 1708.03888,
// algorithm 1). For each tensor, |.| its L2 norm:
//
//   local = trust_coefficient * |p| / (|gradient| + weight_decay * |p|)
//   v = momentum * v + learning_rate * local * (gradient + weight_decay * p)
//   p = p - v
//
// local = 1 where a norm is zero (the paper would never let a tensor leave zero) and in spans without trust
// ratio. Two passes: 8 bytes read a parameter for the norms, then 12 read and 8 written.
#include <algorithm>
#include <cmath>

#include "base/clones.h"
#include "base/parallel.h"
#include "optim/norm.h"
#include "optim/optimizer.h"

namespace trireme {
namespace {

constexpr size_t least_shared = 32768;  // values of a tensor that several threads move
constexpr int64_t values_at_once = 8192;

struct Factors {
  float momentum, rate, decay, scale;
};

TRIREME_CLONES void lars_loop(size_t n, float* __restrict p, const float* __restrict g, float* __restrict v,
                              Factors f) {
#pragma omp simd
  for (size_t i = 0; i < n; ++i) {
    float velocity = f.momentum * v[i] + f.rate * (f.scale * g[i] + f.decay * p[i]);
    v[i] = velocity;
    p[i] -= velocity;
  }
}

class Lars : public Optimizer {
 public:
  Lars(const OptimizerConfig& config, std::vector<UpdateSpan> spans)
      : Optimizer(config, std::move(spans), {"momentum"}) {}
  Cut cut() const override { return Cut::at_tensors; }

 private:
  void move(const Part& part, const UpdateStep& step) override {
    Factors factors{static_cast<float>(config().momentum),
                    static_cast<float>(part.rate * local_rate(part, step)),
                    static_cast<float>(part.span.weight_decay), static_cast<float>(step.gradient_scale)};
    for_each_part(part.size < least_shared ? 1 : threads(), static_cast<int64_t>(part.size), values_at_once,
                  [&](int64_t begin, int64_t end) {
                    lars_loop(static_cast<size_t>(end - begin), part.parameters + begin,
                              part.gradients + begin, slot(0, part) + begin, factors);
                  });
  }

  double local_rate(const Part& part, const UpdateStep& step) const {
    if (!part.span.trust_ratio) return 1;
    double parameters = std::sqrt(sum_of_squares({part.parameters, part.size}, threads()));
    double gradients =
        std::sqrt(sum_of_squares({part.gradients, part.size}, threads())) * std::abs(step.gradient_scale);
    if (parameters == 0 || gradients == 0) return 1;
    return config().trust_coefficient * parameters / (gradients + part.span.weight_decay * parameters);
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_lars(const OptimizerConfig& config, std::vector<UpdateSpan> spans) {
  return std::make_unique<Lars>(config, std::move(spans));
}

}  // namespace trireme
