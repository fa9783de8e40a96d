// What shape rules, gradient rules and reference kernels have in common.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "graph/op.h"

namespace trireme {

using InputTypes = std::span<const std::optional<TensorType>>;

// "float32[64, 10]"
std::string describe(const TensorType& type);

// Input i if it is float32 or float64 of `rank` axes (any_rank: of one or more); GraphError naming `layout`,
// "x[N, H, W, C]", otherwise.
inline constexpr size_t any_rank = 0;
const TensorType& floating_input(InputTypes inputs, size_t i, std::string_view layout, size_t rank);

// The same for inputs that also come in 16 bits (Op::half_inputs): any of the four floating types.
const TensorType& activation_input(InputTypes inputs, size_t i, std::string_view layout, size_t rank);
// activation_input of two or more axes: rows along the last one.
const TensorType& rows_input(InputTypes inputs, size_t i, std::string_view layout);

// All extents but the last: one element a row.
Shape leading_axes(const Shape& shape);
// Input 0, float32 or float64 rows of classes, with an int32 label for each row in input 1.
const TensorType& labelled_input(InputTypes inputs, std::string_view layout);

// A sum made in float64 as an element of type T.
template <class T>
T narrow(double value) {
  return static_cast<T>(static_cast<Wide<T>>(value));
}

// Throws GraphError unless input i is of type `wanted`.
void expect_input(InputTypes inputs, size_t i, std::string_view layout, const TensorType& wanted);

// The attribute; GraphError when it is below `minimum`.
int64_t integer_of_at_least(const Attributes& attributes, std::string_view name, int64_t minimum);
// 0 or 1; GraphError otherwise.
bool flag(const Attributes& attributes, std::string_view name);
// Within [low, high); GraphError otherwise.
double real_within(const Attributes& attributes, std::string_view name, double low, double high);

// Elements of output 0, as a number of operations.
double output_elements(const Graph& graph, const Node& node);
// Rule of ops that compute nothing.
inline double no_flops(const Graph&, const Node&) { return 0; }

// The gradient before a fused relu: relu_backward where the node has relu=1, `output_gradient` itself
// otherwise.
ValueId gradient_before_relu(GraphWriter& writer, const Node& node, ValueId output_gradient);

// The row every op with a fused relu has.
inline AttributeRule relu_attribute() { return {"relu", int64_t{0}, "1: output is max(0, .)"}; }

}  // namespace trireme
