#include <fmt/format.h>
#include <fmt/ranges.h>

#include "graph/graph.h"

namespace trireme {
namespace {

char letter_of(Role role) {
  switch (role) {
    case Role::input:
      return 'i';
    case Role::parameter:
      return 'w';
    case Role::state:
      return 's';
    case Role::frozen:
      return 'f';
    case Role::gradient:
      return 'g';
    case Role::statistic:
      return 't';
    case Role::activation:
      break;
  }
  return '%';
}

// Activations by number, everything with a name of its own by role and name: "%7", "w:conv1.weight", "-".
std::string reference(const Graph& graph, ValueId id) {
  if (id == no_id) return "-";
  if (id < 0 || static_cast<size_t>(id) >= graph.values.size()) return fmt::format("?{}", id);  // malformed
  const Value& value = graph.value(id);
  if (value.role == Role::activation) return fmt::format("%{}", id);
  return fmt::format("{}:{}", letter_of(value.role), value.name);
}

std::string type_text(const TensorType& type) {
  return fmt::format("{}{}", name_of(type.dtype), type.shape.to_string());
}

std::string references(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<std::string> parts;
  for (ValueId id : ids) parts.push_back(reference(graph, id));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string attributes_text(const Attributes& attributes) {
  if (attributes.entries().empty()) return {};
  std::vector<std::string> parts;
  for (const auto& [name, attribute] : attributes.entries()) {
    parts.push_back(
        std::visit([&n = name](auto value) { return fmt::format("{}={}", n, value); }, attribute));
  }
  return fmt::format(" {{{}}}", fmt::join(parts, ", "));
}

}  // namespace

std::string to_string(const Graph& graph) {
  std::string text = fmt::format("graph {}\n", graph.name);
  for (const Value& value : graph.values) {
    if (value.role != Role::input && value.role != Role::parameter && value.role != Role::state &&
        value.role != Role::frozen)
      continue;
    text += fmt::format("{}:{} : {}\n", letter_of(value.role), value.name, type_text(value.type));
  }
  for (const Node& node : graph.nodes) {
    std::vector<std::string> types;
    for (ValueId id : node.outputs) {
      bool known = id >= 0 && static_cast<size_t>(id) < graph.values.size();
      types.push_back(known ? type_text(graph.value(id).type) : "?");
    }
    text += fmt::format("{} = {}({}){} : {}  # {}\n", references(graph, node.outputs), node.op,
                        references(graph, node.inputs), attributes_text(node.attributes),
                        fmt::join(types, ", "), node.origin);
  }
  if (!graph.results.empty()) text += fmt::format("results {}\n", references(graph, graph.results));
  return text;
}

}  // namespace trireme
