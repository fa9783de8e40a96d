#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <system_error>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/replace_file.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void throw_io(const fs::path& path, const char* what) {
  throw IoError("{}: {}: {}", path.string(), what, std::strerror(errno));
}

void write_all(const Descriptor& file, std::span<const std::byte> bytes, const fs::path& path) {
  while (!bytes.empty()) {
    ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_io(path, "write failed");
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

bool is_directory_there(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

// A name that nobody else takes, be it a thread of this process or one of the same number on another host.
fs::path name_aside(fs::path path) {
  std::random_device draw;
  return path += ".partial-" + std::to_string(::getpid()) + "-" + std::to_string(draw());
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

void write_and_rename(const fs::path& path, std::span<const std::byte> bytes, bool syncs) {
  fs::path aside = name_aside(path);
  try {
    Descriptor file(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.get() < 0) throw_io(aside, "cannot create");
    write_all(file, bytes, aside);
    if (syncs && ::fsync(file.get()) != 0) throw_io(aside, "fsync failed");
    if (!file.close()) throw_io(aside, "close failed");
    if (::rename(aside.c_str(), path.c_str()) != 0) throw_io(path, "rename into place failed");
  } catch (...) {
    std::error_code ignored;
    fs::remove(aside, ignored);
    throw;
  }
}

}  // namespace

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  write_and_rename(path, bytes, true);
  sync_directory(folder_of(path));
}

void replace_file(const fs::path& path, std::string_view text) {
  write_and_rename(path, std::as_bytes(std::span(text.data(), text.size())), false);
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())));
}

PendingFile::PendingFile(fs::path path) : path_(std::move(path)), aside_(name_aside(path_)) {}

PendingFile::~PendingFile() {
  if (committed_) return;
  std::error_code ignored;
  fs::remove(aside_, ignored);
}

void PendingFile::commit() {
  Descriptor file(::open(aside_.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) throw_io(aside_, "cannot open");
  if (::fsync(file.get()) != 0) throw_io(aside_, "fsync failed");
  if (::rename(aside_.c_str(), path_.c_str()) != 0) throw_io(path_, "rename into place failed");
  committed_ = true;
  sync_directory(folder_of(path_));
}

bool is_absent(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

std::string read_file(const fs::path& path) {
  if (is_absent(path)) throw MissingInputError("{}: no such file", path.string());
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream || is_directory_there(path)) throw IoError("{}: cannot be read", path.string());
  return std::move(text).str();
}

void make_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw IoError("{}: cannot create the directory: {}", path.string(), error.message());
}

void sync_directory(const fs::path& directory) {
  Descriptor handle(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (handle.get() < 0) throw_io(directory, "cannot open the directory");
  if (::fsync(handle.get()) != 0) throw_io(directory, "fsync of the directory failed");
}

}  // namespace trireme
