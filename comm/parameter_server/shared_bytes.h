// Memory that processes of one machine share, without a name in any file system: who may see this process
// opens it by /proc. It lasts until the last process has let it go, whoever died meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace trireme {

class SharedBytes {
 public:
  // Zeroed. Throws CommError naming the bytes.
  static std::shared_ptr<SharedBytes> create(size_t bytes);
  // Another process's, by its number and that of its descriptor; null where that may not be seen, or is
  // smaller or not sealed against shrinking.
  static std::shared_ptr<SharedBytes> open(int64_t process, int32_t descriptor, size_t bytes,
                                           bool writable = false);
  ~SharedBytes();
  SharedBytes(const SharedBytes&) = delete;
  SharedBytes& operator=(const SharedBytes&) = delete;

  std::span<std::byte> bytes() const { return {data_, size_}; }
  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  int32_t descriptor() const { return descriptor_; }  // of this process; -1 where opened
  uint64_t name() const { return name_; }  // no other memory of this machine has it while this lives

 private:
  SharedBytes(int descriptor, uint64_t name, std::byte* data, size_t size)
      : descriptor_(descriptor), name_(name), data_(data), size_(size) {}
  int descriptor_;
  uint64_t name_;
  std::byte* data_;
  size_t size_;
};

}  // namespace trireme
