#include "exec/non_finite.h"

#include <cmath>

#include "base/half.h"
#include "exec/executor.h"

namespace trireme {
namespace {

template <class T>
std::optional<size_t> first_in(const void* values, size_t count) {
  const T* at = static_cast<const T*>(values);
  for (size_t i = 0; i < count; ++i) {
    if (!std::isfinite(static_cast<double>(at[i]))) return i;
  }
  return std::nullopt;
}

const char* name_of_given(Role role) {
  switch (role) {
    case Role::parameter:
      return "parameter";
    case Role::state:
      return "state";
    case Role::frozen:
      return "frozen parameter";
    case Role::input:
      return "input";
    default:
      return nullptr;
  }
}

}  // namespace

std::optional<size_t> first_non_finite(const void* values, size_t count, DType type) {
  switch (type) {
    case DType::float32:
      return first_in<float>(values, count);
    case DType::float64:
      return first_in<double>(values, count);
    case DType::bfloat16:
      return first_in<BFloat16>(values, count);
    case DType::float16:
      return first_in<Float16>(values, count);
    default:
      return std::nullopt;
  }
}

// Parameters are looked at before inputs: a net that is broken says so whatever the data.
std::optional<NonFinite> Executor::find_non_finite_start(const StepScalars& scalars) const {
  const Graph& graph = program_.graph;
  for (Role role : {Role::parameter, Role::state, Role::frozen, Role::input}) {
    for (size_t v = 0; v < graph.values.size(); ++v) {
      const Value& value = graph.values[v];
      if (value.role != role) continue;
      auto count = static_cast<size_t>(value.type.shape.elements());
      // Arenas have a type of their own: float32 for every run, float64 under the oracle.
      std::optional<size_t> at = first_non_finite(addresses_[v], count, value.type.dtype);
      if (!at) continue;
      NonFinite found{fmt::format("{} '{}'", name_of_given(role), value.name), role == Role::input, 0};
      if (role == Role::input && value.type.shape.rank() > 0) {
        int64_t sample = static_cast<int64_t>(*at) / (static_cast<int64_t>(count) / value.type.shape[0]);
        found.what += fmt::format(" (sample {} of the step's batch)", scalars.first_sample + sample);
      }
      return found;
    }
  }
  return std::nullopt;
}

std::optional<NonFinite> Executor::find_first_non_finite(std::span<const void* const> inputs,
                                                         const StepScalars& scalars) {
  set_inputs(inputs);
  std::optional<NonFinite> found = find_non_finite_start(scalars);
  const Graph& graph = program_.graph;
  for (const Bound& bound : nodes_) {
    bound.kernel(scalars);
    if (found) continue;  // to the end, so that results are there for whoever goes on with them
    const Node& node = graph.nodes[bound.node];
    for (ValueId output : node.outputs) {
      const Value& value = graph.value(output);
      auto count = static_cast<size_t>(value.type.shape.elements());
      if (!first_non_finite(address(output), count, value.type.dtype)) continue;
      found = NonFinite{fmt::format("'{}' (made by {}, {})", value.name, node.op, node.origin), false,
                        bound.node + 1};
      break;
    }
  }
  return found;
}

}  // namespace trireme
