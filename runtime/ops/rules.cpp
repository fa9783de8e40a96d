#include "ops/rules.h"

#include "base/error.h"

namespace trireme {

std::string describe(const TensorType& type) {
  return fmt::format("{}{}", name_of(type.dtype), type.shape.to_string());
}

const TensorType& floating_input(InputTypes inputs, size_t i, std::string_view layout, size_t rank) {
  if (i >= inputs.size() || !inputs[i]) throw GraphError("input {} ({}) is absent", i, layout);
  const TensorType& type = *inputs[i];
  if (type.dtype != DType::float32 && type.dtype != DType::float64) {
    throw GraphError("input {} ({}) must be float32 or float64, got {}", i, layout, describe(type));
  }
  if (rank == any_rank ? type.shape.rank() < 1 : type.shape.rank() != rank) {
    throw GraphError("input {} ({}) must have {} axes, got {}", i, layout,
                     rank == any_rank ? std::string("one or more") : std::to_string(rank), describe(type));
  }
  return type;
}

void expect_input(InputTypes inputs, size_t i, std::string_view layout, const TensorType& wanted) {
  if (i >= inputs.size() || !inputs[i]) throw GraphError("input {} ({}) is absent", i, layout);
  if (*inputs[i] != wanted) {
    throw GraphError("input {} ({}) must be {}, got {}", i, layout, describe(wanted), describe(*inputs[i]));
  }
}

int64_t integer_of_at_least(const Attributes& attributes, std::string_view name, int64_t minimum) {
  int64_t value = attributes.integer(name);
  if (value < minimum) throw GraphError("attribute '{}' must be at least {}, got {}", name, minimum, value);
  return value;
}

bool flag(const Attributes& attributes, std::string_view name) {
  int64_t value = attributes.integer(name);
  if (value != 0 && value != 1) throw GraphError("attribute '{}' must be 0 or 1, got {}", name, value);
  return value == 1;
}

double real_within(const Attributes& attributes, std::string_view name, double low, double high) {
  double value = attributes.real(name);
  if (!(value >= low && value < high)) {
    throw GraphError("attribute '{}' must lie in [{}, {}), got {}", name, low, high, value);
  }
  return value;
}

double output_elements(const Graph& graph, const Node& node) {
  return static_cast<double>(graph.shape(node.outputs[0]).elements());
}

ValueId gradient_before_relu(GraphWriter& writer, const Node& node, ValueId output_gradient) {
  if (!flag(node.attributes, "relu")) return output_gradient;
  return writer.add_one("relu_backward", {output_gradient, node.outputs[0]});
}

}  // namespace trireme
