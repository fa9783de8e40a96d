#include "backend/cpu/packing.h"

namespace trireme::cpu {

bool is_learned(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  if (value.role == Role::parameter || value.role == Role::frozen) return true;
  if (value.producer == no_id) return false;
  const Node& producer = graph.nodes[static_cast<size_t>(value.producer)];
  return producer.op == "cast" && is_learned(graph, producer.inputs[0]);
}

std::shared_ptr<BoundPrimitive> make_reorder(const Binding& b, const Desc& plain, void* const* slot,
                                             const dnnl::memory& packed, bool to_packed) {
  Desc from = to_packed ? plain : packed.get_desc();
  Desc to = to_packed ? packed.get_desc() : plain;
  dnnl::reorder::primitive_desc desc(b.library.engine, from, b.library.engine, to);
  auto bound = std::make_shared<BoundPrimitive>(b.library, dnnl::reorder(desc));
  if (to_packed) {
    bound->bind(DNNL_ARG_FROM, plain, slot);
    bound->bind(DNNL_ARG_TO, packed);
  } else {
    bound->bind(DNNL_ARG_FROM, packed);
    bound->bind(DNNL_ARG_TO, plain, slot);
  }
  return bound;
}

Kernel with_packed_weights(const Binding& b, std::shared_ptr<BoundPrimitive> bound, const Desc& plain,
                           const Desc& wanted, void* const* slot) {
  if (wanted == plain) {
    bound->bind(DNNL_ARG_WEIGHTS, plain, slot);
    return [bound](const StepScalars&) { bound->execute(); };
  }
  dnnl::memory packed(wanted, b.library.engine);
  bound->bind(DNNL_ARG_WEIGHTS, packed);
  auto pack = make_reorder(b, plain, slot, packed, true);
  auto packed_version = std::make_shared<uint64_t>(0);
  return [bound, pack, packed_version, current = b.parameter_version](const StepScalars&) {
    if (*packed_version != *current) {
      pack->execute();
      *packed_version = *current;
    }
    bound->execute();
  };
}

}  // namespace trireme::cpu
