#include "ops/rules.h"

#include "base/error.h"

namespace trireme {

std::string describe(const TensorType& type) {
  return fmt::format("{}{}", name_of(type.dtype), type.shape.to_string());
}

namespace {

void expect_rank(const TensorType& type, size_t i, std::string_view layout, size_t rank) {
  if (rank == any_rank ? type.shape.rank() < 1 : type.shape.rank() != rank) {
    throw GraphError("input {} ({}) must have {} axes, got {}", i, layout,
                     rank == any_rank ? std::string("one or more") : std::to_string(rank), describe(type));
  }
}

}  // namespace

const TensorType& floating_input(InputTypes inputs, size_t i, std::string_view layout, size_t rank) {
  if (i >= inputs.size() || !inputs[i]) throw GraphError("input {} ({}) is absent", i, layout);
  const TensorType& type = *inputs[i];
  if (type.dtype != DType::float32 && type.dtype != DType::float64) {
    throw GraphError("input {} ({}) must be float32 or float64, got {}", i, layout, describe(type));
  }
  expect_rank(type, i, layout, rank);
  return type;
}

const TensorType& activation_input(InputTypes inputs, size_t i, std::string_view layout, size_t rank) {
  if (i >= inputs.size() || !inputs[i]) throw GraphError("input {} ({}) is absent", i, layout);
  const TensorType& type = *inputs[i];
  if (!is_floating(type.dtype)) {
    throw GraphError("input {} ({}) must be of a floating-point type, got {}", i, layout, describe(type));
  }
  expect_rank(type, i, layout, rank);
  return type;
}

const TensorType& rows_input(InputTypes inputs, size_t i, std::string_view layout) {
  const TensorType& type = activation_input(inputs, i, layout, any_rank);
  if (type.shape.rank() < 2) {
    throw GraphError("input {} ({}) must have two or more axes, got {}", i, layout, describe(type));
  }
  return type;
}

Shape leading_axes(const Shape& shape) {
  const auto& extents = shape.extents();
  return Shape(std::vector<int64_t>(extents.begin(), extents.end() - 1));
}

const TensorType& labelled_input(InputTypes inputs, std::string_view layout) {
  floating_input(inputs, 0, layout, any_rank);
  const TensorType& rows = rows_input(inputs, 0, layout);
  expect_input(inputs, 1, "labels[N, ...]", {DType::int32, leading_axes(rows.shape)});
  return rows;
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
