// The graph: a plain value. Nodes and values have integer ids (their index), no node holds a result, and
// copying a graph copies it whole. Builders make a forward graph, passes turn it into a program's graph.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/dtype.h"
#include "base/shape.h"

namespace trireme {

using NodeId = int32_t;
using ValueId = int32_t;
inline constexpr int32_t no_id = -1;

struct TensorType {
  DType dtype = DType::float32;
  Shape shape;
  // Bytes of the dense tensor.
  size_t bytes() const { return static_cast<size_t>(shape.elements()) * size_of(dtype); }
  bool operator==(const TensorType&) const = default;
};

// Where a value lives and who sees it.
enum class Role : uint8_t {
  input,       // given anew at every step (images, labels)
  parameter,   // in the parameter arena; learned
  state,       // in the state arena; replicated on all ranks, changed by the strategy (running statistics)
  activation,  // in the planned workspace
  frozen,      // a parameter of another net (a discriminator seen by the generator's program): read from that
               // net's arena by name, never learned here; no gradient flows into it
  gradient,    // of a parameter, at the parameter's offset in the gradient arena
  statistic,   // in the gradient arena behind the gradients; summed over ranks together with them (the loss,
               // the batch statistics); `of` names the state it updates, if any
};

std::string_view name_of(Role role);

// How a parameter or state starts: drawn from the stream (seed, initialize, hash of its name).
struct Initializer {
  enum class Kind : uint8_t { constant, uniform, normal } kind = Kind::constant;
  double scale = 0;  // the constant; the bound of uniform [-scale, scale); the standard deviation of normal
  bool operator==(const Initializer&) const = default;
};

struct Value {
  std::string name;
  TensorType type;
  Role role = Role::activation;
  NodeId producer = no_id;  // no_id for inputs, parameters and states
  ValueId of = no_id;       // gradient: its parameter; statistic: its state or no_id
  Initializer initializer;  // parameter, state
};

using Attribute = std::variant<int64_t, double>;

// Attributes of a node by name; few, so a sorted vector.
class Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<std::string, Attribute>> entries);

  void set(std::string_view name, Attribute value);
  bool has(std::string_view name) const;
  // Throw GraphError when absent or of the other type.
  int64_t integer(std::string_view name) const;
  double real(std::string_view name) const;
  const std::vector<std::pair<std::string, Attribute>>& entries() const { return entries_; }
  bool operator==(const Attributes&) const = default;

 private:
  std::vector<std::pair<std::string, Attribute>> entries_;
};

struct Node {
  std::string op;               // row of the op table
  std::vector<ValueId> inputs;  // no_id marks an absent optional input (a bias)
  std::vector<ValueId> outputs;
  Attributes attributes;
  std::string origin;  // where it comes from, for messages: "model.layer[2]" or "conv1"
  int32_t layer = -1;  // number of the layer or block that a builder counts it to; -1: to none. What the
                       // recompute pass keeps and drops goes by it
};

struct Graph {
  std::string name;
  std::vector<Value> values;
  std::vector<Node> nodes;       // in execution order once ordered; builders append in dependency order
  std::vector<ValueId> inputs;   // values of role input, in the order in which a step is given them
  std::vector<ValueId> results;  // values that outlive the step (loss, logits): never reused by the planner

  const Value& value(ValueId id) const { return values.at(static_cast<size_t>(id)); }
  Value& value(ValueId id) { return values.at(static_cast<size_t>(id)); }
  const Shape& shape(ValueId id) const { return value(id).type.shape; }

  ValueId add_value(std::string value_name, TensorType type, Role role, ValueId of = no_id);
  ValueId add_input(std::string value_name, TensorType type);
  ValueId add_parameter(std::string value_name, Shape shape, Initializer initializer);
  ValueId add_state(std::string value_name, Shape shape, Initializer initializer);
};

// Number of elements over all values of `role`.
int64_t count_elements(const Graph& graph, Role role);

// Throws GraphError naming the node's origin when the graph is not well formed: ids out of range, a value
// read before it is produced or produced twice, an unknown op, wrong arity, a missing or unknown attribute,
// or a type that differs from the op's shape rule.
void verify(const Graph& graph);

// One line a node: "%7 = convolution(%0, w:conv1.weight) {padding=2} : float32[64, 28, 28, 6]  # conv1"
std::string to_string(const Graph& graph);

}  // namespace trireme
