// Weights in the library's own layout: packed into memory made once, at bind, and again when parameters have
// changed.
#pragma once

#include <memory>

#include "backend/cpu/binder.h"

namespace trireme::cpu {

// Whether a value changes with the parameters alone: a parameter, or the cast of one. Nothing else may be
// packed, since packing goes by the parameters' version.
bool is_learned(const Graph& graph, ValueId id);

// A copy between the layout `plain` at `slot` and packed memory, in either direction.
std::shared_ptr<BoundPrimitive> make_reorder(const Binding& b, const Desc& plain, void* const* slot,
                                             const dnnl::memory& packed, bool to_packed);

// Binds the weights of `bound`, which lie in layout `plain` at `slot` and are wanted as `wanted`; the kernel
// packs them first when they have changed since it last did.
Kernel with_packed_weights(const Binding& b, std::shared_ptr<BoundPrimitive> bound, const Desc& plain,
                           const Desc& wanted, void* const* slot);

}  // namespace trireme::cpu
