// Update rules over ranges of the arenas. A rule sees flat float32 memory: it knows neither tensors nor
// ranks, so a strategy may update all of the arena, or the shard that it owns, in whatever pieces become
// ready.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/range.h"
#include "config/config.h"

namespace trireme {

// What an update needs beside memory.
struct UpdateStep {
  double learning_rate = 0;
  int64_t step = 0;           // counted from 0 over the whole run; AdamW's bias correction uses step + 1
  double gradient_scale = 1;  // gradients are multiplied by it first (clipping)
  bool weight_decay = true;   // false for tensors that do not decay (rank <= 1)
};

// Memory of a rule, one value a parameter: starts as zero, laid out like the parameter arena.
struct OptimizerMemory {
  std::string name;  // "momentum", "first_moment", "second_moment"
  Buffer values;     // float32, parameter_elements long
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  virtual std::string name() const = 0;
  // parameters[range] moves by the rule; `parameters` and `gradients` are the arenas' first elements.
  // Elementwise: the result does not depend on how an arena is cut into ranges. Padding (zero gradient) stays
  // zero.
  virtual void update(Range range, float* parameters, const float* gradients, const UpdateStep& step) = 0;
  // Fixed from construction on; empty for a rule without memory.
  virtual std::vector<OptimizerMemory>& memory() = 0;
};

// The registry: one row per rule, in registry.cpp.
// Throws ConfigError naming optimizer.kind when there is no such rule.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, size_t parameter_elements);
std::vector<std::string_view> optimizer_kinds();

// The rules, one file each.
std::unique_ptr<Optimizer> make_sgd(const OptimizerConfig& config, size_t parameter_elements);
std::unique_ptr<Optimizer> make_adamw(const OptimizerConfig& config, size_t parameter_elements);

}  // namespace trireme
