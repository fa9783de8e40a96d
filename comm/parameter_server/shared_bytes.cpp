#include "comm/parameter_server/shared_bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace trireme {

std::shared_ptr<SharedBytes> SharedBytes::create(size_t bytes) {
  size_t size = std::max<size_t>(bytes, 1);
  int descriptor = ::memfd_create("trireme", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  void* data = MAP_FAILED;
  if (descriptor >= 0 && ::ftruncate(descriptor, static_cast<off_t>(size)) == 0 &&
      ::fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK) == 0) {
    data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  }
  if (data == MAP_FAILED) {
    int error = errno;
    if (descriptor >= 0) ::close(descriptor);
    throw CommError("{} bytes of shared memory: {}", size, std::strerror(error));
  }
  struct stat status {};
  ::fstat(descriptor, &status);
  return std::shared_ptr<SharedBytes>(
      new SharedBytes(descriptor, status.st_ino, static_cast<std::byte*>(data), size));
}

std::shared_ptr<SharedBytes> SharedBytes::open(int64_t process, int32_t descriptor, size_t bytes,
                                               bool writable) {
  std::string path = fmt::format("/proc/{}/fd/{}", process, descriptor);
  // What is opened may be anything: a pipe without a writer would not let this thread come back.
  int file = ::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) return nullptr;
  struct stat status {};
  int seals = ::fcntl(file, F_GET_SEALS);
  bool good = ::fstat(file, &status) == 0 && static_cast<size_t>(status.st_size) >= bytes && seals >= 0 &&
              (seals & F_SEAL_SHRINK) != 0;
  void* data = MAP_FAILED;
  if (good) data = ::mmap(nullptr, bytes, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, file, 0);
  ::close(file);
  if (data == MAP_FAILED) return nullptr;
  return std::shared_ptr<SharedBytes>(
      new SharedBytes(-1, status.st_ino, static_cast<std::byte*>(data), bytes));
}

SharedBytes::~SharedBytes() {
  ::munmap(data_, size_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace trireme
