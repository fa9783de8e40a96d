// Binds a planned graph to a backend and arenas, and steps it. A step allocates nothing.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "base/range.h"
#include "exec/arenas.h"
#include "exec/non_finite.h"
#include "exec/program.h"
#include "exec/step_timeline.h"

namespace trireme {

class Executor {
 public:
  // Told that gradients [begin, end) of the gradient arena are final; ranges come in arena order, without
  // gaps, and the last one ends at layout.gradient_elements (statistics included).
  using RangeReady = std::function<void(Range)>;

  // `workspace` may be shared by executors that never run at the same time; it must hold program.plan.bytes.
  // `backend`, `arenas` and `workspace` outlive the executor.
  // Values of role frozen are found by name among the parameters of `frozen`, which may be null where there
  // are none.
  Executor(Program program, Backend& backend, Arenas& arenas, Buffer& workspace,
           const Arenas* frozen = nullptr);
  Executor(const Executor&) = delete;  // kernels point into it
  Executor& operator=(const Executor&) = delete;

  // Runs the program once. `inputs` are the addresses of the graph's inputs in the order of graph.inputs.
  // `timeline`, if any, is told of every kernel as it is done; the bits are the same with and without.
  void step(std::span<const void* const> inputs, const StepScalars& scalars, const RangeReady& ready = {},
            StepTimeline* timeline = nullptr);

  // Runs the program once and tells nobody of gradients, looking for nan and infinity: in parameters, states,
  // frozen parameters and inputs (in this order), then in the outputs of every node as it is done. The first
  // place, or nothing.
  std::optional<NonFinite> find_first_non_finite(std::span<const void* const> inputs,
                                                 const StepScalars& scalars);

  // Address of a value after step(), e.g. of a result. Valid until the next step.
  const void* address(ValueId value) const;
  const Program& program() const { return program_; }

 private:
  struct Bound {
    size_t node;  // its number in the graph
    Kernel kernel;
    Range ready;  // range of the gradient arena that is final after this node; empty for most
  };
  bool is_alias(const Node& node);
  void set_inputs(std::span<const void* const> inputs);
  std::optional<NonFinite> find_non_finite_start(const StepScalars& scalars) const;

  Program program_;
  std::vector<void*> addresses_;                   // by ValueId; the kernels read it at every step
  std::vector<std::vector<ValueId>> input_views_;  // per graph input: the values that have its address
  std::vector<Bound> nodes_;
  size_t gradient_elements_;
};

}  // namespace trireme
