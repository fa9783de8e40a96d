#include "backend/cpu/onednn.h"

namespace trireme::cpu {

split::SplitScratch Library::reserve_split(int64_t halves) {
  size_t bytes = static_cast<size_t>(halves) * sizeof(uint16_t);
  if (split.bytes() < bytes) split = Buffer(bytes);
  return split::SplitScratch(split);
}

void BoundPrimitive::bind(int kind, const Desc& desc, void* const* slot) {
  slots_.push_back({dnnl::memory(desc, library_.engine, DNNL_MEMORY_NONE), slot});
  arguments_.push_back({kind, slots_.back().memory.get()});
}

void BoundPrimitive::bind(int kind, const dnnl::memory& memory) {
  fixed_.push_back(memory);
  arguments_.push_back({kind, memory.get()});
}

void BoundPrimitive::execute() {
  for (Slot& slot : slots_) slot.memory.set_data_handle(*slot.address);
  dnnl::error::wrap_c_api(dnnl_primitive_execute(primitive_.get(), library_.stream.get(),
                                                 static_cast<int>(arguments_.size()), arguments_.data()),
                          "a primitive failed");
}

dnnl::primitive_attr relu_attributes(bool relu) {
  dnnl::primitive_attr attributes;
  if (relu) {
    dnnl::post_ops post;
    post.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
    attributes.set_post_ops(post);
  }
  return attributes;
}

}  // namespace trireme::cpu
