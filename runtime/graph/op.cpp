// What the rows of the op table have in common: look-up, attributes, arity.
#include "graph/op.h"

#include <algorithm>

#include "base/error.h"
#include "base/nearest_name.h"

namespace trireme {

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
  return op.shape(types, attributes);
}

}  // namespace trireme
