#include "data/data_files.h"

#include <sys/stat.h>

#include <algorithm>

namespace trireme {

DataFiles::Stamp DataFiles::stamp_of(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};  // whoever opens it says so
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

std::shared_ptr<const void> DataFiles::find(const std::filesystem::path& path, int64_t cache_bytes,
                                            std::type_index kind,
                                            const std::function<std::shared_ptr<const void>()>& make) {
  std::lock_guard lock(mutex_);
  Stamp stamp = stamp_of(path);
  auto found = std::ranges::find_if(entries_, [&](const Entry& entry) {
    return entry.path == path && entry.cache_bytes == cache_bytes && entry.kind == kind;
  });
  if (found != entries_.end() && found->stamp == stamp) {
    std::rotate(entries_.begin(), found, found + 1);
    return entries_.front().file;
  }
  if (found != entries_.end()) entries_.erase(found);
  std::shared_ptr<const void> file = make();
  entries_.insert(entries_.begin(), Entry{path, cache_bytes, kind, stamp, file});
  if (entries_.size() > kept_)
    entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(kept_), entries_.end());
  return file;
}

}  // namespace trireme
