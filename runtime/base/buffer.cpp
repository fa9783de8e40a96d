#include "base/buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace trireme {
namespace {

// A page that the processor finds with one entry of its table where small ones would need 512.
constexpr size_t huge_page = size_t{2} << 20;

// AddressSanitizer watches the ends of what the heap gives only.
#ifdef __SANITIZE_ADDRESS__
constexpr bool maps_large = false;
#else
constexpr bool maps_large = true;
#endif

std::byte* allocate(size_t bytes) {
  size_t rounded = (bytes + Buffer::alignment - 1) / Buffer::alignment * Buffer::alignment;
  void* memory = std::aligned_alloc(Buffer::alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, rounded);
  return static_cast<std::byte*>(memory);
}

size_t mapped_bytes(size_t bytes) {
  static const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

// Fresh pages are zero, and each is given by the memory near the thread that first writes to it. Asks for
// huge pages where they are whole, so that they take no more memory than small ones.
[[maybe_unused]] std::byte* map_large(size_t bytes) {
  size_t wanted = mapped_bytes(bytes);
  size_t mapped = wanted + huge_page;
  if (mapped < bytes) throw std::bad_alloc();
  void* memory = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  auto* begin = static_cast<std::byte*>(memory);
  size_t before = (huge_page - reinterpret_cast<uintptr_t>(begin) % huge_page) % huge_page;
  if (before > 0) ::munmap(begin, before);
  begin += before;
  if (before < huge_page) ::munmap(begin + wanted, huge_page - before);
  // A kernel without them says no, and small pages do.
  ::madvise(begin, wanted / huge_page * huge_page, MADV_HUGEPAGE);
  return begin;
}

}  // namespace

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  if (bytes < huge_page || !maps_large) {
    data_ = {allocate(bytes), [](std::byte* block) { std::free(block); }};
  } else {
    data_ = {map_large(bytes), [bytes](std::byte* block) { ::munmap(block, mapped_bytes(bytes)); }};
  }
}

}  // namespace trireme
