// A net with all that it needs to learn, for tests: a bound training program and Adam in plain loops.
#pragma once

#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "exec/compile.h"
#include "exec/executor.h"
#include "exec/initialize.h"

namespace trireme::test {

class TrainedNet {
 public:
  // `frozen` may be null.
  TrainedNet(Graph forward, Backend& backend, const Arenas* frozen = nullptr,
             const CompileOptions& options = {})
      : TrainedNet(compile_training(std::move(forward), options), backend, frozen) {}

  // One step of Adam (Kingma and Ba, arXiv 1412.6980) on `inputs`, `batch` samples.
  void step(std::vector<const void*> inputs, int64_t batch, double rate, double beta1 = 0.9) {
    backend_.parameters_changed();
    executor_.step(inputs, {1, steps_++, 0, 1.0 / static_cast<double>(batch)});
    auto* p = arenas_.parameters.as<float>();
    const auto* g = arenas_.gradients.as<float>();
    double correction1 = 1 - std::pow(beta1, steps_), correction2 = 1 - std::pow(0.999, steps_);
    for (size_t i = 0; i < mean_.size(); ++i) {
      mean_[i] += (1 - beta1) * (static_cast<double>(g[i]) - mean_[i]);
      square_[i] += 0.001 * (static_cast<double>(g[i]) * static_cast<double>(g[i]) - square_[i]);
      p[i] -=
          static_cast<float>(rate * mean_[i] / correction1 / (std::sqrt(square_[i] / correction2) + 1e-8));
    }
  }
  double statistic(const std::string& name) const {
    return static_cast<double>(arenas_.gradients.as<float>()[arenas_.layout.statistic(name).offset]);
  }
  // Result `index` of the newest step.
  const float* result(size_t index) const {
    return static_cast<const float*>(executor_.address(executor_.program().graph.results.at(index)));
  }
  const Arenas& arenas() const { return arenas_; }

 private:
  TrainedNet(const Program& program, Backend& backend, const Arenas* frozen)
      : backend_(backend),
        arenas_(program.layout),
        workspace_(program.plan.bytes),
        executor_((initialize_arenas(program.graph, 1, arenas_), program), backend, arenas_, workspace_,
                  frozen),
        mean_(arenas_.layout.parameter_elements),
        square_(arenas_.layout.parameter_elements) {}

  Backend& backend_;
  Arenas arenas_;
  Buffer workspace_;
  Executor executor_;
  int64_t steps_ = 0;
  std::vector<double> mean_;
  std::vector<double> square_;
};

}  // namespace trireme::test
