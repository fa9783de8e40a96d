#include "base/buffer.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace trireme {

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, rounded);
  data_ = {static_cast<std::byte*>(memory), [](std::byte* block) { std::free(block); }};
}

}  // namespace trireme
