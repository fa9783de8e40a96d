// Large files, written and read past the page cache in aligned blocks, and hashed by a second thread
// meanwhile.
//
// O_DIRECT moves the bytes between our memory and the disk without a copy in the kernel, which is several
// times faster than a buffered write that ends in fsync; a file system that does not know it (EINVAL) gets
// buffered writes.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

namespace trireme {

// Move-only, page-aligned, zero-filled memory, in huge pages where the system gives them. Its length is
// rounded up to whole pages, as direct writes need it.
class PageMemory {
 public:
  static constexpr size_t page_bytes = 4096;

  PageMemory() = default;
  // Throws std::bad_alloc.
  explicit PageMemory(size_t bytes);
  PageMemory(PageMemory&& other) noexcept;
  PageMemory& operator=(PageMemory&& other) noexcept;
  ~PageMemory();

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }        // as asked for
  size_t capacity() const { return capacity_; }  // whole pages
  std::span<const std::byte> span() const { return {data_, bytes_}; }

 private:
  void release() noexcept;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  size_t capacity_ = 0;
};

struct HashedFile {
  std::string xxh3;     // of the bytes: Xxh3::hex()
  bool direct = false;  // past the page cache
};

// Writes `memory`'s bytes as `path`, replacing what is there, and makes them durable (fsync of the file, not
// of its folder). Throws IoError naming path and reason, with nothing half-written left behind.
HashedFile write_hashed_file(const std::filesystem::path& path, const PageMemory& memory);

// Hands the file's bytes to `take`, block by block in order, and returns the hash of them all: for whoever
// wants them somewhere else than in one piece of memory. The next block is read while `take` is at work.
// Throws MissingInputError when there is none, IoError, and what `take` throws.
HashedFile stream_hashed_file(const std::filesystem::path& path,
                              const std::function<void(size_t offset, std::span<const std::byte>)>& take);

// The whole file. Throws MissingInputError when there is none, IoError.
PageMemory read_hashed_file(const std::filesystem::path& path, HashedFile& file);

}  // namespace trireme
