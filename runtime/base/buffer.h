// Owned, aligned, zero-filled memory.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace trireme {

// Move-only block of bytes aligned to `alignment` (64, a cache line and an AVX-512 register, unless told).
class Buffer {
 public:
  static constexpr size_t alignment = 64;

  Buffer() = default;
  // Throws std::bad_alloc. The memory is zero.
  explicit Buffer(size_t bytes);

  size_t bytes() const { return bytes_; }
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }

  template <class T>
  T* as() { return reinterpret_cast<T*>(data_.get()); }
  template <class T>
  const T* as() const { return reinterpret_cast<const T*>(data_.get()); }
  template <class T>
  std::span<T> span() { return {as<T>(), bytes_ / sizeof(T)}; }
  template <class T>
  std::span<const T> span() const { return {as<T>(), bytes_ / sizeof(T)}; }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept;
  };
  std::unique_ptr<std::byte[], Free> data_;
  size_t bytes_ = 0;
};

}  // namespace trireme
