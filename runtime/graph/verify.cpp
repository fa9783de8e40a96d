#include <set>

#include "base/error.h"
#include "graph/op.h"

namespace trireme {
namespace {

std::string describe(const TensorType& type) {
  return fmt::format("{}{}", name_of(type.dtype), type.shape.to_string());
}

bool is_produced(Role role) {
  return role == Role::activation || role == Role::gradient || role == Role::statistic;
}

void check_id(const Graph& graph, ValueId id, std::string_view what) {
  if (id < 0 || static_cast<size_t>(id) >= graph.values.size()) {
    throw GraphError("{} is value {}, but the graph has {} values", what, id, graph.values.size());
  }
}

// What a gradient or statistic belongs to.
void check_owner(const Graph& graph, const Value& value) {
  if (value.role == Role::gradient || (value.role == Role::statistic && value.of != no_id)) {
    Role wanted = value.role == Role::gradient ? Role::parameter : Role::state;
    check_id(graph, value.of, fmt::format("the owner of {} '{}'", name_of(value.role), value.name));
    const Value& owner = graph.value(value.of);
    if (owner.role != wanted) {
      throw GraphError("{} '{}' belongs to {} '{}', but must belong to a {}", name_of(value.role), value.name,
                       name_of(owner.role), owner.name, name_of(wanted));
    }
    if (owner.type != value.type) {
      throw GraphError("{} '{}' is {}, its {} '{}' is {}", name_of(value.role), value.name,
                       describe(value.type), name_of(wanted), owner.name, describe(owner.type));
    }
  } else if (value.of != no_id) {
    throw GraphError("{} '{}' belongs to value {}, but only gradients and statistics belong to one",
                     name_of(value.role), value.name, value.of);
  }
}

void check_value(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  for (int64_t extent : value.type.shape) {
    if (extent <= 0)
      throw GraphError("value '{}' has a non-positive extent: {}", value.name, describe(value.type));
  }
  check_owner(graph, value);
  if (value.producer == no_id) return;
  if (!is_produced(value.role)) {
    throw GraphError("{} '{}' must not have a producer, but node {} is named as such", name_of(value.role),
                     value.name, value.producer);
  }
  if (value.producer < 0 || static_cast<size_t>(value.producer) >= graph.nodes.size()) {
    throw GraphError("value '{}' names node {} as its producer, but the graph has {} nodes", value.name,
                     value.producer, graph.nodes.size());
  }
  const Node& node = graph.nodes[static_cast<size_t>(value.producer)];
  for (ValueId output : node.outputs) {
    if (output == id) return;
  }
  throw GraphError("{}: {}: value '{}' names this node as its producer, but is none of its outputs",
                   node.origin, node.op, value.name);
}

// Arenas find these by name.
void check_unique_names(const Graph& graph) {
  std::set<std::pair<Role, std::string_view>> seen;
  for (const Value& value : graph.values) {
    if (value.role == Role::activation) continue;
    if (!seen.emplace(value.role, value.name).second) {
      throw GraphError("two values are {} '{}'; give each a name of its own", name_of(value.role),
                       value.name);
    }
  }
}

void check_interface(const Graph& graph) {
  size_t roles = 0;
  for (const Value& value : graph.values) roles += value.role == Role::input;
  std::set<ValueId> listed;
  for (ValueId id : graph.inputs) {
    check_id(graph, id, "an input of the graph");
    if (graph.value(id).role != Role::input) {
      throw GraphError("'{}' is listed as input of the graph, but is of role {}", graph.value(id).name,
                       name_of(graph.value(id).role));
    }
    if (!listed.insert(id).second) throw GraphError("input '{}' is listed twice", graph.value(id).name);
  }
  if (listed.size() != roles) {
    throw GraphError("the graph has {} values of role input, but lists {} as its inputs", roles,
                     listed.size());
  }
  for (ValueId id : graph.results) {
    check_id(graph, id, "a result of the graph");
    const Value& value = graph.value(id);
    if (is_produced(value.role) && value.producer == no_id) {
      throw GraphError("result '{}' is produced by no node", value.name);
    }
  }
}

void check_inputs(const Graph& graph, const Node& node, std::vector<bool>& defined) {
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == no_id) continue;
    check_id(graph, node.inputs[i], fmt::format("input {}", i));
    if (!defined[static_cast<size_t>(node.inputs[i])]) {
      throw GraphError("reads '{}' before it is produced", graph.value(node.inputs[i]).name);
    }
  }
}

void check_outputs(const Graph& graph, NodeId index, const Op& op, std::vector<bool>& defined) {
  const Node& node = graph.nodes[static_cast<size_t>(index)];
  std::vector<TensorType> types = output_types(op, graph, node.inputs, node.attributes);
  if (types.size() != node.outputs.size()) {
    throw GraphError("has {} outputs, but its shape rule gives {}", node.outputs.size(), types.size());
  }
  for (size_t i = 0; i < types.size(); ++i) {
    check_id(graph, node.outputs[i], fmt::format("output {}", i));
    const Value& value = graph.value(node.outputs[i]);
    if (!is_produced(value.role)) throw GraphError("writes {} '{}'", name_of(value.role), value.name);
    if (defined[static_cast<size_t>(node.outputs[i])]) throw GraphError("produces '{}' again", value.name);
    if (value.producer != index) {
      throw GraphError("produces '{}', which names node {} as its producer, not {}", value.name,
                       value.producer, index);
    }
    if (value.type != types[i]) {
      throw GraphError("output '{}' is {}, but its shape rule gives {}", value.name, describe(value.type),
                       describe(types[i]));
    }
    defined[static_cast<size_t>(node.outputs[i])] = true;
  }
}

void check_node(const Graph& graph, NodeId index, std::vector<bool>& defined) {
  const Node& node = graph.nodes[static_cast<size_t>(index)];
  try {
    const Op& op = find_op(node.op);
    check_inputs(graph, node, defined);
    complete_attributes(op, node.attributes);  // refuses unknown names and wrong types
    for (const AttributeRule& rule : op.attributes) {
      if (!node.attributes.has(rule.name)) throw GraphError("attribute '{}' is missing", rule.name);
    }
    check_outputs(graph, index, op, defined);
  } catch (const GraphError& error) {
    throw GraphError("{}: {}: {}", node.origin, node.op, error.what());
  }
}

}  // namespace

void verify(const Graph& graph) {
  std::vector<bool> defined(graph.values.size());
  for (size_t i = 0; i < graph.values.size(); ++i) defined[i] = !is_produced(graph.values[i].role);
  for (NodeId i = 0; i < static_cast<NodeId>(graph.nodes.size()); ++i) check_node(graph, i, defined);
  for (ValueId id = 0; id < static_cast<ValueId>(graph.values.size()); ++id) check_value(graph, id);
  check_unique_names(graph);
  check_interface(graph);
}

}  // namespace trireme
