// Owned, aligned, zero-filled memory.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <utility>

namespace trireme {

// Move-only block of bytes aligned to `alignment` (64, a cache line and an AVX-512 register, unless told).
// From 2 MiB on in huge pages where the system has them; such memory is taken page by page when first written
// to, near the thread that does.
class Buffer {
 public:
  static constexpr size_t alignment = 64;

  Buffer() = default;
  // Throws std::bad_alloc. The memory is zero.
  explicit Buffer(size_t bytes);
  // Takes over memory that somebody else made, aligned and zeroed; `release` is called once at the end.
  Buffer(std::byte* memory, size_t bytes, std::function<void(std::byte*)> release)
      : data_(memory, std::move(release)), bytes_(bytes) {}

  size_t bytes() const { return bytes_; }
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }

  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data_.get());
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_.get());
  }
  template <class T>
  std::span<T> span() {
    return {as<T>(), bytes_ / sizeof(T)};
  }
  template <class T>
  std::span<const T> span() const {
    return {as<T>(), bytes_ / sizeof(T)};
  }

 private:
  static void nothing(std::byte*) {}

  std::unique_ptr<std::byte, std::function<void(std::byte*)>> data_{nullptr, nothing};
  size_t bytes_ = 0;
};

}  // namespace trireme
