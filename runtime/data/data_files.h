// Opened data files, for runs that follow each other in one process and learn from the same ones: what has
// been read and checked stays in their caches.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <typeindex>
#include <vector>

namespace trireme {

// Keeps the files that were used last open. May be called from any number of threads.
class DataFiles {
 public:
  // `kept`: so many at most, whose caches may each hold data.cache_bytes.
  explicit DataFiles(size_t kept = 4) : kept_(kept) {}

  // A file of this path that was opened before with the same cache, where it has not changed since (size,
  // time and inode are the same), else a new one. Throws as File's constructor does.
  template <class File>
  std::shared_ptr<const File> open(const std::filesystem::path& path, int64_t cache_bytes) {
    auto make = [&] { return std::make_shared<const File>(path, cache_bytes); };
    return std::static_pointer_cast<const File>(find(path, cache_bytes, typeid(File), make));
  }

 private:
  // What tells a file from one that has replaced it.
  struct Stamp {
    uint64_t device = 0, inode = 0;
    int64_t bytes = -1, seconds = 0, nanoseconds = 0;
    bool operator==(const Stamp&) const = default;
  };
  struct Entry {
    std::filesystem::path path;
    int64_t cache_bytes;
    std::type_index kind;
    Stamp stamp;
    std::shared_ptr<const void> file;
  };
  static Stamp stamp_of(const std::filesystem::path& path);
  std::shared_ptr<const void> find(const std::filesystem::path& path, int64_t cache_bytes,
                                   std::type_index kind,
                                   const std::function<std::shared_ptr<const void>()>& make);

  size_t kept_;
  std::mutex mutex_;
  std::vector<Entry> entries_;  // the last used first
};

}  // namespace trireme
