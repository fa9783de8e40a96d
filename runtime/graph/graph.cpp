#include "graph/graph.h"

namespace trireme {

std::string_view name_of(Role role) {
  switch (role) {
    case Role::input:
      return "input";
    case Role::parameter:
      return "parameter";
    case Role::state:
      return "state";
    case Role::activation:
      return "activation";
    case Role::frozen:
      return "frozen";
    case Role::gradient:
      return "gradient";
    case Role::statistic:
      return "statistic";
  }
  return "?";
}

ValueId Graph::add_value(std::string value_name, TensorType type, Role role, ValueId of) {
  Value value;
  value.name = std::move(value_name);
  value.type = std::move(type);
  value.role = role;
  value.of = of;
  values.push_back(std::move(value));
  return static_cast<ValueId>(values.size() - 1);
}

ValueId Graph::add_input(std::string value_name, TensorType type) {
  ValueId id = add_value(std::move(value_name), std::move(type), Role::input);
  inputs.push_back(id);
  return id;
}

ValueId Graph::add_parameter(std::string value_name, Shape shape, Initializer initializer) {
  ValueId id = add_value(std::move(value_name), {DType::float32, std::move(shape)}, Role::parameter);
  value(id).initializer = initializer;
  return id;
}

ValueId Graph::add_state(std::string value_name, Shape shape, Initializer initializer) {
  ValueId id = add_value(std::move(value_name), {DType::float32, std::move(shape)}, Role::state);
  value(id).initializer = initializer;
  return id;
}

int64_t count_elements(const Graph& graph, Role role) {
  int64_t count = 0;
  for (const Value& value : graph.values) {
    if (value.role == role) count += value.type.shape.elements();
  }
  return count;
}

}  // namespace trireme
