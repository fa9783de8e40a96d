#include "base/hashed_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/hash.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr size_t block_bytes = size_t{8} << 20;
// Below this a direct transfer and a second thread cost more than they bring.
constexpr size_t small_bytes = size_t{1} << 20;
constexpr size_t huge_page_bytes = size_t{2} << 20;

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

[[noreturn]] void throw_io(const fs::path& path, const char* what) {
  throw IoError("{}: {}: {}", path.string(), what, std::strerror(errno));
}

// Direct where the file system allows it and the file is worth it.
Descriptor open_file(const fs::path& path, int flags, bool& direct) {
  int fd = direct ? ::open(path.c_str(), flags | O_CLOEXEC | O_DIRECT, 0644) : -1;
  if (direct && fd < 0 && errno != EINVAL) return Descriptor(-1);
  if (fd < 0) {
    direct = false;
    fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
  }
  return Descriptor(fd);
}

// From here on `file` goes through the page cache: for a file system that takes O_DIRECT at opening and
// refuses it at the transfer. False when it was not direct, or will not let go of it.
bool give_up_direct(const Descriptor& file, bool& direct) {
  if (!direct) return false;
  int flags = ::fcntl(file.get(), F_GETFL);
  direct = false;
  return flags >= 0 && ::fcntl(file.get(), F_SETFL, flags & ~O_DIRECT) == 0;
}

void write_all(const Descriptor& file, const PageMemory& memory, bool& direct, const fs::path& path) {
  // A direct write has whole pages; what the last one has too much is cut off afterwards.
  size_t end = direct ? memory.capacity() : memory.bytes();
  for (size_t at = 0; at < end;) {
    size_t bytes = std::min(block_bytes, end - at);
    ssize_t written = ::pwrite(file.get(), memory.data() + at, bytes, static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EINVAL && give_up_direct(file, direct)) continue;
    if (written < 0) throw_io(path, "write failed");
    if (written == 0) throw IoError("{}: write failed: the system takes no more bytes", path.string());
    at += static_cast<size_t>(written);
    // A short direct write (a disk about to be full) may end inside a page.
    if (at < end && at % PageMemory::page_bytes != 0) give_up_direct(file, direct);
  }
  if (end != memory.bytes() && ::ftruncate(file.get(), static_cast<off_t>(memory.bytes())) != 0) {
    throw_io(path, "cutting the last page failed");
  }
}

}  // namespace

PageMemory::PageMemory(size_t bytes)
    : bytes_(bytes), capacity_(round_up(std::max<size_t>(bytes, 1), page_bytes)) {
  void* memory = ::mmap(nullptr, capacity_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(memory);
  // Advice alone: without huge pages everything works, with more time spent in page faults.
  if (capacity_ >= huge_page_bytes) ::madvise(memory, capacity_, MADV_HUGEPAGE);
}

PageMemory::PageMemory(PageMemory&& other) noexcept { *this = std::move(other); }

PageMemory& PageMemory::operator=(PageMemory&& other) noexcept {
  if (this == &other) return *this;
  release();
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  capacity_ = std::exchange(other.capacity_, 0);
  return *this;
}

PageMemory::~PageMemory() { release(); }

void PageMemory::release() noexcept {
  if (data_ != nullptr) ::munmap(data_, capacity_);
  data_ = nullptr;
}

HashedFile write_hashed_file(const fs::path& path, const PageMemory& memory) {
  HashedFile result;
  std::thread hasher;
  auto hash = [&] { result.xxh3 = xxh3_hex(memory.span()); };
  bool small = memory.bytes() < small_bytes;
  if (small) {
    hash();
  } else {
    hasher = std::thread(hash);
  }
  try {
    result.direct = !small;
    Descriptor file = open_file(path, O_WRONLY | O_CREAT | O_TRUNC, result.direct);
    if (file.get() < 0) throw_io(path, "cannot create");
    write_all(file, memory, result.direct, path);
    if (::fsync(file.get()) != 0) throw_io(path, "fsync failed");
    if (!file.close()) throw_io(path, "close failed");
  } catch (...) {
    if (hasher.joinable()) hasher.join();
    std::error_code ignored;
    fs::remove(path, ignored);
    throw;
  }
  if (hasher.joinable()) hasher.join();
  return result;
}

namespace {

// A file that is read from its beginning to its end.
class Reader {
 public:
  explicit Reader(const fs::path& path) : path_(path), file_(open(path, direct_)) {
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0) throw_io(path, "cannot be read");
    if (!S_ISREG(status.st_mode)) throw IoError("{}: cannot be read: it is no file", path.string());
    bytes_ = static_cast<size_t>(status.st_size);
    if (bytes_ < small_bytes) give_up_direct(file_, direct_);
  }
  size_t bytes() const { return bytes_; }
  size_t at() const { return at_; }
  bool direct() const { return direct_; }
  // Reads the next block into `memory`, which has room for block_bytes or for whole pages up to the file's
  // end; returns how many of its bytes are the file's.
  size_t read(std::byte* memory) {
    size_t end = std::min(at_ + block_bytes, bytes_), begin = at_;
    while (at_ < end) {
      // Direct reads want whole pages; the file's end cuts the last one short.
      size_t wanted = direct_ ? round_up(end - at_, PageMemory::page_bytes) : end - at_;
      ssize_t got = ::pread(file_.get(), memory + (at_ - begin), wanted, static_cast<off_t>(at_));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EINVAL && give_up_direct(file_, direct_)) continue;
      if (got < 0) throw_io(path_, "read failed");
      if (got == 0) throw IoError("{}: became shorter while it was read", path_.string());
      at_ = std::min(at_ + static_cast<size_t>(got), end);
      if (at_ < end && at_ % PageMemory::page_bytes != 0) give_up_direct(file_, direct_);
    }
    return at_ - begin;
  }

 private:
  static Descriptor open(const fs::path& path, bool& direct) {
    std::error_code error;
    if (!fs::exists(path, error)) {
      if (error) throw IoError("{}: cannot be read: {}", path.string(), error.message());
      throw MissingInputError("{}: no such file", path.string());
    }
    direct = true;
    Descriptor file = open_file(path, O_RDONLY, direct);
    if (file.get() < 0) throw_io(path, "cannot open");
    return file;
  }

  fs::path path_;
  bool direct_ = true;
  Descriptor file_;
  size_t bytes_ = 0;
  size_t at_ = 0;
};

// Blocks of the file on their way from the thread that reads to the one that takes.
class Pipeline {
 public:
  explicit Pipeline(Reader& reader) : reader_(reader), thread_([this] { read_all(); }) {}
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  ~Pipeline() {
    {
      std::lock_guard lock(mutex_);
      given_up_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  // The next block, until give_back(); empty at the end. Throws what the reading thread has met.
  std::span<const std::byte> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return filled_ > taken_ || ended_; });
    if (filled_ == taken_ && error_) std::rethrow_exception(error_);
    if (filled_ == taken_) return {};
    Block& block = blocks_[taken_ % blocks_.size()];
    return {block.memory.data(), block.bytes};
  }
  void give_back() {
    {
      std::lock_guard lock(mutex_);
      ++taken_;
    }
    changed_.notify_all();
  }

 private:
  struct Block {
    PageMemory memory{block_bytes};
    size_t bytes = 0;
  };

  void read_all() {
    try {
      while (reader_.at() < reader_.bytes()) {
        {
          std::unique_lock lock(mutex_);
          changed_.wait(lock, [this] { return filled_ - taken_ < blocks_.size() || given_up_; });
          if (given_up_) return;
        }
        Block& block = blocks_[filled_ % blocks_.size()];
        block.bytes = reader_.read(block.memory.data());
        std::lock_guard lock(mutex_);
        ++filled_;
        changed_.notify_all();
      }
    } catch (...) {
      error_ = std::current_exception();
    }
    std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  Reader& reader_;
  std::array<Block, 3> blocks_;
  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  size_t filled_ = 0;
  size_t taken_ = 0;
  bool ended_ = false;
  bool given_up_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace

HashedFile stream_hashed_file(const fs::path& path,
                              const std::function<void(size_t, std::span<const std::byte>)>& take) {
  Reader reader(path);
  Xxh3 hash;
  size_t at = 0;
  auto use = [&](std::span<const std::byte> bytes) {
    hash.update(bytes);
    take(at, bytes);
    at += bytes.size();
  };
  if (reader.bytes() < small_bytes) {
    PageMemory memory(reader.bytes());
    while (reader.at() < reader.bytes()) use({memory.data(), reader.read(memory.data())});
  } else {
    Pipeline pipeline(reader);
    for (auto block = pipeline.next(); !block.empty(); block = pipeline.next()) {
      use(block);
      pipeline.give_back();
    }
  }
  return {hash.hex(), reader.direct()};
}

PageMemory read_hashed_file(const fs::path& path, HashedFile& result) {
  Reader reader(path);
  PageMemory memory(reader.bytes());
  // The hasher follows the reader block by block.
  Xxh3 hash;
  std::atomic<size_t> have{0};
  constexpr size_t broken = ~size_t{0};
  auto follow = [&] {
    for (size_t at = 0; at < memory.bytes();) {
      have.wait(at);
      size_t end = have.load();
      if (end == broken) return;
      hash.update(memory.span().subspan(at, end - at));
      at = end;
    }
  };
  auto announce = [&](size_t end) {
    have.store(end);
    have.notify_one();
  };
  std::thread hasher;
  if (memory.bytes() >= small_bytes) hasher = std::thread(follow);
  try {
    while (reader.at() < reader.bytes()) {
      reader.read(memory.data() + reader.at());
      if (hasher.joinable()) announce(reader.at());
    }
  } catch (...) {
    if (hasher.joinable()) {
      announce(broken);
      hasher.join();
    }
    throw;
  }
  if (hasher.joinable()) {
    hasher.join();
  } else {
    hash.update(memory.span());
  }
  result = {hash.hex(), reader.direct()};
  return memory;
}

}  // namespace trireme
