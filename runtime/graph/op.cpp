// What the rows of the op table have in common: look-up, attributes, arity.
#include "graph/op.h"

#include <algorithm>

#include "base/error.h"
#include "base/nearest_name.h"

namespace trireme {
namespace {

// 16-bit values where the row has no kernel for them.
void refuse_halves(const Op& op, std::span<const std::optional<TensorType>> types) {
  for (size_t i = 0; i < types.size(); ++i) {
    if (!types[i] || !is_half_type(types[i]->dtype)) continue;
    if (std::find(op.half_inputs.begin(), op.half_inputs.end(), i) != op.half_inputs.end()) continue;
    throw GraphError("input {} ({}) must be float32 or float64, got {}{}; cast it first", i, op.inputs.at(i),
                     name_of(types[i]->dtype), types[i]->shape.to_string());
  }
}

}  // namespace

const Op& find_op(std::string_view name) {
  const std::vector<Op>& table = op_table();
  auto found = std::find_if(table.begin(), table.end(), [&](const Op& op) { return op.name == name; });
  if (found != table.end()) return *found;
  std::vector<std::string> names;
  for (const Op& op : table) names.push_back(op.name);
  throw GraphError("there is no op '{}'; the nearest is '{}' (all are listed in runtime/ops/OPS.md)", name,
                   nearest_name(name, names));
}

Attributes complete_attributes(const Op& op, const Attributes& given) {
  Attributes all;
  for (const AttributeRule& rule : op.attributes) all.set(rule.name, rule.default_value);
  for (const auto& [name, value] : given.entries()) {
    auto rule = std::find_if(op.attributes.begin(), op.attributes.end(),
                             [&n = name](const AttributeRule& one) { return one.name == n; });
    if (rule == op.attributes.end()) {
      std::vector<std::string> names;
      for (const AttributeRule& one : op.attributes) names.push_back(one.name);
      if (names.empty()) throw GraphError("unknown attribute '{}': the op takes none", name);
      throw GraphError("unknown attribute '{}'; the nearest is '{}'", name, nearest_name(name, names));
    }
    if (rule->default_value.index() != value.index()) {
      throw GraphError("attribute '{}' must be {}", name,
                       std::holds_alternative<int64_t>(rule->default_value) ? "an integer" : "a real number");
    }
    all.set(name, value);
  }
  return all;
}

std::vector<TensorType> output_types(const Op& op, const Graph& graph, std::span<const ValueId> inputs,
                                     const Attributes& attributes) {
  if (inputs.size() < op.required_inputs || inputs.size() > op.max_inputs) {
    std::string wanted = op.required_inputs == op.max_inputs
                             ? fmt::format("{}", op.max_inputs)
                             : fmt::format("{} to {}", op.required_inputs, op.max_inputs);
    throw GraphError("takes {} inputs, got {}", wanted, inputs.size());
  }
  std::vector<std::optional<TensorType>> types(op.max_inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == no_id) {
      if (i < op.required_inputs) throw GraphError("input {} ({}) must not be absent", i, op.inputs.at(i));
      continue;
    }
    if (inputs[i] < 0 || static_cast<size_t>(inputs[i]) >= graph.values.size()) {
      throw GraphError("input {} ({}) is value {}, which the graph does not have", i, op.inputs.at(i),
                       inputs[i]);
    }
    types[i] = graph.value(inputs[i]).type;
  }
  refuse_halves(op, types);
  return op.shape(types, attributes);
}

DType kernel_type(const Graph& graph, const Node& node) {
  for (ValueId input : node.inputs) {
    if (input != no_id && is_floating(graph.value(input).type.dtype)) return graph.value(input).type.dtype;
  }
  return graph.value(node.outputs.at(0)).type.dtype;
}

ReferenceKernel reference_kernel(const Op& op, DType type) {
  switch (type) {
    case DType::float32:
      return op.reference_float;
    case DType::float64:
      return op.reference_double;
    case DType::bfloat16:
      return op.reference_bfloat16;
    case DType::float16:
      return op.reference_float16;
    default:
      return nullptr;
  }
}

}  // namespace trireme
