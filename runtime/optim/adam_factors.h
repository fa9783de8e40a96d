// What Adam and the rules made from it (AdamW, LAMB) have in common: the moments and their bias correction
// (Kingma and Ba, "Adam", arXiv 1412.6980, algorithm 1).
#pragma once

#include <cmath>

#include "config/config.h"
#include "optim/optimizer.h"

namespace trireme {

// With t = step + 1:  m_hat = m / first_correction,  sqrt(v_hat) = root_scale * sqrt(v).
struct AdamFactors {
  float beta1, beta2, rest1, rest2, root_scale, epsilon, scale;
  double first_correction;
};

inline AdamFactors adam_factors(const OptimizerConfig& config, const UpdateStep& step) {
  double t = static_cast<double>(step.step) + 1;
  AdamFactors factors{};
  factors.beta1 = static_cast<float>(config.beta1);
  factors.beta2 = static_cast<float>(config.beta2);
  factors.rest1 = static_cast<float>(1 - config.beta1);
  factors.rest2 = static_cast<float>(1 - config.beta2);
  factors.root_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(config.beta2, t)));
  factors.epsilon = static_cast<float>(config.epsilon);
  factors.scale = static_cast<float>(step.gradient_scale);
  factors.first_correction = 1 - std::pow(config.beta1, t);
  return factors;
}

}  // namespace trireme
