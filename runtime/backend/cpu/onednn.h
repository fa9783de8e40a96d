// The thin layer over oneDNN: one engine and stream a backend, primitives bound to the graph's address table.
#pragma once

#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/buffer.h"

namespace trireme::cpu {

namespace split {
// Memory of 16-bit numbers that all nodes of a backend share. It may move while nodes are bound.
class SplitScratch {
 public:
  explicit SplitScratch(Buffer& buffer) : buffer_(&buffer) {}
  uint16_t* data() const { return buffer_->as<uint16_t>(); }

 private:
  Buffer* buffer_;
};
}  // namespace split

struct Library {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  Buffer scratch;  // of 16-bit nodes that compute in float32 (through_float.cpp); one runs at a time
  Buffer split;    // of nodes that split their operands (split/); one runs at a time
  split::SplitScratch reserve_split(int64_t halves);
};

// A primitive with its arguments. Addresses are read through the graph's table at every execution, so that
// inputs may move; nothing is allocated.
class BoundPrimitive {
 public:
  BoundPrimitive(Library& library, dnnl::primitive primitive)
      : library_(library), primitive_(std::move(primitive)) {}

  // Argument `kind` (DNNL_ARG_...) of layout `desc` lies at *slot.
  void bind(int kind, const dnnl::memory::desc& desc, void* const* slot);
  // Argument in memory of its own (packed weights).
  void bind(int kind, const dnnl::memory& memory);
  void execute();

 private:
  struct Slot {
    dnnl::memory memory;
    void* const* address;
  };
  Library& library_;
  dnnl::primitive primitive_;
  std::vector<Slot> slots_;
  std::vector<dnnl::memory> fixed_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;

// float32 tensor of the given logical extents.
inline Desc float_desc(dnnl::memory::dims extents, Tag tag) {
  return Desc(std::move(extents), dnnl::memory::data_type::f32, tag);
}

// The same of type float32 or bfloat16, the two that the library computes in on this kind of processor.
inline Desc typed_desc(DType type, dnnl::memory::dims extents, Tag tag) {
  using Type = dnnl::memory::data_type;
  return Desc(std::move(extents), type == DType::bfloat16 ? Type::bf16 : Type::f32, tag);
}

// Attributes that fuse a relu behind the result, if asked.
dnnl::primitive_attr relu_attributes(bool relu);

}  // namespace trireme::cpu
