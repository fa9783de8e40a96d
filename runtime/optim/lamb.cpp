// LAMB (You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", arXiv
// 1904.00962, algorithm 2, with the identity for phi). For each tensor, |.| its L2 norm, t = step + 1:
//
//   m = beta1 * m + (1 - beta1) * gradient
//   v = beta2 * v + (1 - beta2) * gradient^2
//   u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay * p
//   p = p - learning_rate * |p| / |u| * u
//
// The ratio of norms is 1 where one of them is zero and in spans without trust ratio. Two passes: the first
// moves the moments and takes the norms (16 bytes read and 8 written a parameter), the second makes u again
// and moves p (12 and 4), so that u needs no memory.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/clones.h"
#include "base/parallel.h"
#include "optim/adam_factors.h"
#include "optim/norm.h"

namespace trireme {
namespace {

constexpr size_t block = norm_block;  // values of u at a time, on the stack; so that sums have one order
constexpr size_t blocks_at_once = 512;
constexpr size_t least_shared = 8 * block;  // values of a tensor that several threads move

struct Factors {
  AdamFactors adam;
  float first_scale, decay;
};

inline float direction(float p, float m, float v, const Factors& f) {
  return f.first_scale * m / (std::sqrt(v) * f.adam.root_scale + f.adam.epsilon) + f.decay * p;
}

TRIREME_CLONES void moment_loop(size_t n, const float* __restrict p, const float* __restrict g,
                                float* __restrict m, float* __restrict v, float* __restrict u, Factors f) {
#pragma omp simd
  for (size_t i = 0; i < n; ++i) {
    float gradient = f.adam.scale * g[i];
    m[i] = f.adam.beta1 * m[i] + f.adam.rest1 * gradient;
    v[i] = f.adam.beta2 * v[i] + f.adam.rest2 * gradient * gradient;
    u[i] = direction(p[i], m[i], v[i], f);
  }
}

TRIREME_CLONES void step_loop(size_t n, float* __restrict p, const float* __restrict m,
                              const float* __restrict v, Factors f, float rate) {
#pragma omp simd
  for (size_t i = 0; i < n; ++i) p[i] -= rate * direction(p[i], m[i], v[i], f);
}

class Lamb : public Optimizer {
 public:
  Lamb(const OptimizerConfig& config, std::vector<UpdateSpan> spans)
      : Optimizer(config, std::move(spans), {"first_moment", "second_moment"}) {}
  Cut cut() const override { return Cut::at_tensors; }

 private:
  void move(const Part& part, const UpdateStep& step) override {
    Factors factors{adam_factors(config(), step), 0, static_cast<float>(part.span.weight_decay)};
    factors.first_scale = static_cast<float>(1 / factors.adam.first_correction);
    double ratio = move_moments(part, factors);
    auto rate = static_cast<float>(part.rate * ratio);
    for_each_part(team(part), static_cast<int64_t>(part.size), block, [&](int64_t begin, int64_t end) {
      step_loop(static_cast<size_t>(end - begin), part.parameters + begin, slot(0, part) + begin,
                slot(1, part) + begin, factors, rate);
    });
  }

  int team(const Part& part) const { return part.size < least_shared ? 1 : threads(); }

  // Returns |p| / |u|, or 1. Blocks' sums are made by any thread and added up in the order of the blocks.
  double move_moments(const Part& part, const Factors& factors) {
    struct Sums {
      double parameters, updates;
    };
    std::array<Sums, blocks_at_once> sums;
    double parameters = 0;
    double updates = 0;
    for (size_t first = 0; first < part.size; first += blocks_at_once * block) {
      size_t size = std::min(blocks_at_once * block, part.size - first);
      for_each_part(team(part), static_cast<int64_t>(size), block, [&](int64_t begin, int64_t end) {
        std::array<float, block> directions;
        auto n = static_cast<size_t>(end - begin);
        size_t at = first + static_cast<size_t>(begin);
        const float* p = part.parameters + at;
        moment_loop(n, p, part.gradients + at, slot(0, part) + at, slot(1, part) + at, directions.data(),
                    factors);
        sums[static_cast<size_t>(begin) / block] = {sum_of_squares({p, n}),
                                                    sum_of_squares({directions.data(), n})};
      });
      for (size_t i = 0; i < (size + block - 1) / block; ++i) {
        parameters += sums[i].parameters;
        updates += sums[i].updates;
      }
    }
    if (!part.span.trust_ratio || parameters == 0 || updates == 0) return 1;
    return std::sqrt(parameters / updates);
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_lamb(const OptimizerConfig& config, std::vector<UpdateSpan> spans) {
  return std::make_unique<Lamb>(config, std::move(spans));
}

}  // namespace trireme
