// Update rules over ranges of the arenas. A rule sees flat float32 memory and, for each tensor in it, a span
// with the settings that the tensor moves by: it knows neither names nor ranks, so a strategy may update all
// of the arena, or the shard that it owns, in whatever pieces become ready.
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

// How one tensor of the parameter arena moves. optim/groups.h makes them from tensors' names.
struct UpdateSpan {
  Range range = {};                 // with the padding behind the tensor
  double learning_rate_factor = 1;  // of UpdateStep::learning_rate
  double weight_decay = 0;
  bool trust_ratio = true;  // whether lamb and lars fit the step to the tensor's norm
};

// What changes from update to update.
struct UpdateStep {
  double learning_rate = 0;
  int64_t step = 0;           // updates before this one; bias corrections use step + 1
  double gradient_scale = 1;  // gradients are multiplied by it first (clipping)
};

// Memory of a rule, one value a parameter: starts as zero. The spans' values lie one behind the other: laid
// out like the parameter arena where the spans cover it.
struct OptimizerMemory {
  std::string name;  // "momentum", "first_moment", "second_moment"
  Buffer values;     // float32
};

// Where the arena may be cut into ranges that are updated one by one, on one rank or on several.
enum class Cut : uint8_t {
  anywhere,    // elementwise: the same bits however it is cut
  at_tensors,  // the rule takes norms of whole tensors: a range holds a tensor (with its padding) or nothing
               // of it
};

class Optimizer {
 public:
  // `spans` are what this optimizer moves, rising: all of the parameter arena, or the parts of it that a rank
  // owns. `slots` names the memory. Throws GraphError where spans overlap.
  Optimizer(const OptimizerConfig& config, std::vector<UpdateSpan> spans,
            const std::vector<std::string_view>& slots);
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  std::string name() const { return config_.kind; }
  virtual Cut cut() const { return Cut::anywhere; }
  // parameters[range] moves by the rule; `parameters` and `gradients` are the arenas' first elements. Padding
  // (zero gradient) stays zero. Sums have a fixed order. Throws GraphError when the range lies outside of the
  // spans or in a gap between them, or cuts a span that cut() says must stay whole.
  void update(Range range, float* parameters, const float* gradients, const UpdateStep& step);
  // How many of the calling thread's team move a large range; 1 until it is told. Bits do not depend on it.
  void use_threads(int threads) { threads_ = threads; }
  // Fixed from construction on; empty for a rule without memory.
  std::vector<OptimizerMemory>& memory() { return memory_; }
  const std::vector<UpdateSpan>& spans() const { return spans_; }

 protected:
  // A tensor, or the part of it that is updated now: first elements in the arenas, and how many.
  struct Part {
    size_t size;
    float* parameters;
    const float* gradients;
    size_t offset;  // in the memory
    double rate;    // learning rate, the span's factor applied
    const UpdateSpan& span;
  };
  // Of a rule that may be cut anywhere several threads call it at once, each with parts of its own; one that
  // may not shares its loops out itself.
  virtual void move(const Part& part, const UpdateStep& step) = 0;
  int threads() const { return threads_; }
  // Where the part's values of a slot of memory lie.
  float* slot(size_t index, const Part& part) { return memory_[index].values.as<float>() + part.offset; }
  const OptimizerConfig& config() const { return config_; }

 private:
  void check_range(Range range) const;
  // The spans' parts that lie in the range, one after the other.
  void move_range(Range range, float* parameters, const float* gradients, const UpdateStep& step);
  OptimizerConfig config_;
  std::vector<UpdateSpan> spans_;
  std::vector<size_t> offsets_;  // of the spans in the memory
  std::vector<OptimizerMemory> memory_;
  int threads_ = 1;
};

// The registry: one row per rule, in registry.cpp.
// Throws ConfigError naming optimizer.kind when there is no such rule.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, std::vector<UpdateSpan> spans);
std::vector<std::string_view> optimizer_kinds();

// The rules, one file each.
std::unique_ptr<Optimizer> make_sgd(const OptimizerConfig& config, std::vector<UpdateSpan> spans);
std::unique_ptr<Optimizer> make_adam(const OptimizerConfig& config, std::vector<UpdateSpan> spans);
std::unique_ptr<Optimizer> make_adamw(const OptimizerConfig& config, std::vector<UpdateSpan> spans);
std::unique_ptr<Optimizer> make_rmsprop(const OptimizerConfig& config, std::vector<UpdateSpan> spans);
std::unique_ptr<Optimizer> make_adagrad(const OptimizerConfig& config, std::vector<UpdateSpan> spans);
std::unique_ptr<Optimizer> make_lamb(const OptimizerConfig& config, std::vector<UpdateSpan> spans);
std::unique_ptr<Optimizer> make_lars(const OptimizerConfig& config, std::vector<UpdateSpan> spans);

}  // namespace trireme
