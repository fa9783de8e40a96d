// Files that are either whole or not there: written aside, fsynced, renamed, the folder fsynced.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace trireme {

// Replaces `path` by `bytes`. On any failure throws IoError (naming the path and the system's reason) and
// leaves what was there before; nothing half-written stays behind.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

// A file that another library writes by name: let it write to aside(), then commit(). Without commit() (an
// exception on the way, say) the destructor removes what was written.
class PendingFile {
 public:
  // Makes no file yet; the name aside() is in the same folder and this process's own.
  explicit PendingFile(std::filesystem::path path);
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;
  ~PendingFile();

  const std::filesystem::path& aside() const { return aside_; }
  // fsync, rename into place, fsync of the folder. Throws IoError.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path aside_;
  bool committed_ = false;
};

// Whether nothing is there under this name. An error that says neither (a file system that does not answer,
// no permission) is no absence.
bool is_absent(const std::filesystem::path& path);

// The whole file. Throws MissingInputError when there is none, IoError when it cannot be read.
std::string read_file(const std::filesystem::path& path);

// mkdir -p. Throws IoError.
void make_directories(const std::filesystem::path& path);

// Makes a rename or removal inside `directory` durable. Throws IoError.
void sync_directory(const std::filesystem::path& directory);

}  // namespace trireme
