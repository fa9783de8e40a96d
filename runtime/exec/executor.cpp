#include "exec/executor.h"

#include <string>
#include <utility>

#include "base/error.h"
#include "graph/op.h"

namespace trireme {
namespace {

// Address of a value that does not move; null for inputs and their views.
void* fixed_address(const Program& program, ValueId id, Arenas& arenas, Buffer& workspace,
                    const Arenas* frozen) {
  const Value& value = program.graph.value(id);
  size_t element = size_of(arenas.type);
  switch (value.role) {
    case Role::input:
      return nullptr;
    case Role::parameter:
      return arenas.parameters.data() + program.layout.parameter(value.name).offset * element;
    case Role::state:
      return arenas.state.data() + program.layout.state(value.name).offset * element;
    case Role::frozen:
      if (frozen == nullptr) {
        throw GraphError("graph '{}': frozen '{}' needs the arenas of the net that it belongs to",
                         program.graph.name, value.name);
      }
      // Only read; the table is untyped and shared with what is written.
      return const_cast<std::byte*>(frozen->parameters.data()) +
             frozen->layout.parameter(value.name).offset * element;
    case Role::gradient: {
      const std::string& parameter = program.graph.value(value.of).name;
      return arenas.gradients.data() + program.layout.parameter(parameter).offset * element;
    }
    case Role::statistic:
      return arenas.gradients.data() + program.layout.statistic(value.name).offset * element;
    case Role::activation: {
      size_t offset = program.plan.offsets[static_cast<size_t>(id)];
      return offset == MemoryPlan::npos ? nullptr : workspace.data() + offset;
    }
  }
  return nullptr;
}

}  // namespace

Executor::Executor(Program program, Backend& backend, Arenas& arenas, Buffer& workspace, const Arenas* frozen)
    : program_(std::move(program)), gradient_elements_(arenas.layout.gradient_elements) {
  const Graph& graph = program_.graph;
  if (workspace.bytes() < program_.plan.bytes) {
    throw GraphError("graph '{}': the workspace holds {} bytes, the plan needs {}", graph.name,
                     workspace.bytes(), program_.plan.bytes);
  }
  addresses_.resize(graph.values.size());
  for (size_t v = 0; v < addresses_.size(); ++v) {
    addresses_[v] = fixed_address(program_, static_cast<ValueId>(v), arenas, workspace, frozen);
  }

  input_views_.resize(graph.inputs.size());
  for (size_t i = 0; i < graph.inputs.size(); ++i) input_views_[i].push_back(graph.inputs[i]);

  size_t ready_end = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    Range ready{ready_end, ready_end};
    for (ValueId output : node.outputs) {
      const Value& value = graph.value(output);
      if (value.role != Role::gradient) continue;
      // The padding behind a tensor belongs to its range: ranges leave no gaps.
      size_t end = program_.layout.parameter(graph.value(value.of).name).range().end;
      ready.end = (end + arena_alignment - 1) / arena_alignment * arena_alignment;
      ready_end = ready.end;
    }
    const Op& op = find_op(node.op);
    if (op.is_view && is_alias(node)) continue;
    nodes_.push_back({n, backend.bind(graph, node, addresses_), ready});
  }
}

// True when output 0 needs no kernel because it has its input's bytes; remembers views of inputs.
bool Executor::is_alias(const Node& node) {
  ValueId input = node.inputs[0];
  ValueId output = node.outputs[0];
  for (std::vector<ValueId>& views : input_views_) {
    for (ValueId seen : views) {
      if (seen == input && program_.plan.offsets[static_cast<size_t>(output)] == MemoryPlan::npos) {
        views.push_back(output);
        return true;
      }
    }
  }
  return addresses_[static_cast<size_t>(input)] == addresses_[static_cast<size_t>(output)];
}

void Executor::set_inputs(std::span<const void* const> inputs) {
  if (inputs.size() != input_views_.size()) {
    throw GraphError("graph '{}' takes {} inputs, was given {}", program_.graph.name, input_views_.size(),
                     inputs.size());
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    // Inputs are only read; the table is untyped and shared with what is written.
    for (ValueId view : input_views_[i]) addresses_[static_cast<size_t>(view)] = const_cast<void*>(inputs[i]);
  }
}

void Executor::step(std::span<const void* const> inputs, const StepScalars& scalars, const RangeReady& ready,
                    StepTimeline* timeline) {
  set_inputs(inputs);
  size_t told = 0;
  if (timeline != nullptr) timeline->mark();
  for (const Bound& bound : nodes_) {
    bound.kernel(scalars);
    if (timeline != nullptr) timeline->kernel_done(program_, bound.node);
    if (!bound.ready.empty() && ready) {
      ready(bound.ready);
      told = bound.ready.end;
      if (timeline != nullptr) timeline->mark();
    }
  }
  if (ready && told < gradient_elements_) ready({told, gradient_elements_});
}

const void* Executor::address(ValueId value) const { return addresses_.at(static_cast<size_t>(value)); }

}  // namespace trireme
