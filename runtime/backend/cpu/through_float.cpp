// 16-bit nodes computed in float32: inputs are widened into scratch memory, the op's float32 kernel runs
// there, and its results are rounded back. For ops whose kernels take no 16-bit values, and for float16 where
// oneDNN has none: as good as the float32 kernel in its sums, slower by the two conversions.
#include <algorithm>
#include <vector>

#include "backend/cpu/packing.h"

namespace trireme::cpu {
namespace {

constexpr size_t alignment = 64;

// A value of the node. Those of 16 bits lie in the scratch memory at `offset`, the others where they always
// do.
struct Place {
  void* const* slot = nullptr;  // in the program's address table
  bool converts = false;
  ElementType type = ElementType::float32;
  int64_t elements = 0;
  size_t offset = 0;
};

// The node in a graph of its own, in which its 16-bit values are float32.
struct WideNode {
  Graph graph;
  Node node;
  std::vector<void*> addresses;
  std::vector<Place> places;  // by the value's id in `graph`; inputs first
  size_t inputs = 0;
  Kernel kernel;

  ValueId add(const Binding& b, ValueId id, size_t& bytes) {
    if (id == no_id) return no_id;
    const Value& value = b.graph.value(id);
    Place place{&b.addresses[static_cast<size_t>(id)], is_half_type(value.type.dtype),
                element_type(value.type.dtype), value.type.shape.elements(), bytes};
    TensorType type{wide(value.type.dtype), value.type.shape};
    if (place.converts) bytes += (type.bytes() + alignment - 1) / alignment * alignment;
    places.push_back(place);
    bool learned = value.role == Role::parameter || value.role == Role::frozen || is_learned(b.graph, id);
    return graph.add_value(value.name, type, learned ? Role::parameter : value.role);
  }

  void run(const StepScalars& scalars, const KernelSet& kernels, std::byte* scratch) {
    for (size_t i = 0; i < places.size(); ++i) {
      const Place& place = places[i];
      addresses[i] = place.converts ? scratch + place.offset : *place.slot;
      if (place.converts && i < inputs) {
        kernels.widen(place.type, *place.slot, static_cast<float*>(addresses[i]), place.elements);
      }
    }
    kernel(scalars);
    for (size_t i = inputs; i < places.size(); ++i) {
      const Place& place = places[i];
      if (place.converts) {
        kernels.narrow(place.type, static_cast<const float*>(addresses[i]), *place.slot, place.elements);
      }
    }
  }
};

}  // namespace

Kernel bind_through_float(const Binding& b, Binder binder) {
  auto wide_node = std::make_shared<WideNode>();
  size_t bytes = 0;
  wide_node->node = b.node;
  for (ValueId& input : wide_node->node.inputs) input = wide_node->add(b, input, bytes);
  wide_node->inputs = wide_node->places.size();
  for (ValueId& output : wide_node->node.outputs) output = wide_node->add(b, output, bytes);
  wide_node->addresses.resize(wide_node->places.size());
  // One scratch for all nodes of the backend, which run one after the other.
  if (b.library.scratch.bytes() < bytes) b.library.scratch = Buffer(bytes);
  Binding inner{wide_node->graph, wide_node->node,     wide_node->addresses, b.library,     b.kernels,
                b.threads,        b.parameter_version, b.matrix_units,       b.few_channels};
  wide_node->kernel = binder(inner);
  return [wide_node, kernels = &b.kernels, library = &b.library](const StepScalars& scalars) {
    wide_node->run(scalars, *kernels, library->scratch.data());
  };
}

}  // namespace trireme::cpu
