// Preloaded into a process (LD_PRELOAD): counts its calls that change files below one folder, and makes one
// of them, or all from one on, end as a disk or a power cut would have it.
//
//   FAULTS_ROOT   the folder, absolute; calls on other paths go through untouched
//   FAULTS_LOG    a file outside of it; a line for each call, before it is made: "NUMBER CALL PATH", and
//                 "done NUMBER RESULT" after it; "meant NUMBER" for the one that FAULTS_AT means
//   FAULTS_AT     the number of the call that is meant, from 1; none: nothing is done but counting
//   FAULTS_ONLY   the name of a function: calls of others are none of those that FAULTS_AT counts
//   FAULTS_DO     kill-before | kill-after | fail | fail-on (that call and all that follow) | short (it
//   writes
//                 half of its bytes) | short-on (half of them, and all calls that follow fail)
//   FAULTS_ERROR  errno of the failures, a number
//
// A call takes no memory from the heap and no lock: the process is in the middle of anything.
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace {

enum class Deed { none, kill_before, kill_after, fail, fail_on, shorten, shorten_on };

struct Plan {
  char root[PATH_MAX] = {};
  size_t root_length = 0;
  int log = -1;
  long at = 0;
  char only[32] = {};
  Deed deed = Deed::none;
  int error = 0;
};

Plan plan;
std::atomic<long> calls{0};
std::atomic<long> meant_calls{0};  // of FAULTS_ONLY
std::atomic<bool> over{false};     // the call that is meant has been

Deed deed_named(const char* name) {
  if (std::strcmp(name, "kill-before") == 0) return Deed::kill_before;
  if (std::strcmp(name, "kill-after") == 0) return Deed::kill_after;
  if (std::strcmp(name, "fail") == 0) return Deed::fail;
  if (std::strcmp(name, "fail-on") == 0) return Deed::fail_on;
  if (std::strcmp(name, "short") == 0) return Deed::shorten;
  if (std::strcmp(name, "short-on") == 0) return Deed::shorten_on;
  return Deed::none;
}

__attribute__((constructor)) void read_plan() {
  const char* root = std::getenv("FAULTS_ROOT");
  if (root == nullptr || std::strlen(root) >= sizeof plan.root) return;
  std::strcpy(plan.root, root);
  if (const char* log = std::getenv("FAULTS_LOG")) {
    auto fd = static_cast<int>(
        ::syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    // Out of the way of whoever counts on low numbers.
    plan.log = ::fcntl(fd, F_DUPFD_CLOEXEC, 700);
    ::syscall(SYS_close, fd);
  }
  if (const char* at = std::getenv("FAULTS_AT")) plan.at = std::atol(at);
  if (const char* only = std::getenv("FAULTS_ONLY")) std::snprintf(plan.only, sizeof plan.only, "%s", only);
  if (const char* deed = std::getenv("FAULTS_DO")) plan.deed = deed_named(deed);
  if (const char* error = std::getenv("FAULTS_ERROR")) plan.error = std::atoi(error);
  plan.root_length = std::strlen(plan.root);  // last: from here on calls are counted
}

void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

// A path, absolute and without "." and ".."; on the stack of a call.
struct Path {
  char text[2 * PATH_MAX] = {};

  void of_descriptor(int fd) {
    char link[64];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = ::readlink(link, text, PATH_MAX - 1);
    text[length < 0 ? 0 : length] = 0;
  }
  void of_name(int folder, const char* name) {
    if (name == nullptr) {
      of_descriptor(folder);
      return;
    }
    if (name[0] != '/') {
      if (folder != AT_FDCWD) {
        of_descriptor(folder);
      } else if (::getcwd(text, PATH_MAX) == nullptr) {
        text[0] = 0;
      }
    }
    size_t end = std::strlen(text);
    for (const char* part = name; *part != 0;) {
      size_t length = std::strcspn(part, "/");
      if (length == 2 && part[0] == '.' && part[1] == '.') {
        while (end > 0 && text[--end] != '/') {
        }
      } else if (length > 0 && !(length == 1 && part[0] == '.') && end + length + 2 < sizeof text) {
        text[end++] = '/';
        std::memcpy(text + end, part, length);
        end += length;
      }
      part += length;
      while (*part == '/') ++part;
    }
    text[end] = 0;
  }
  bool counts() const {
    return plan.root_length > 0 && std::strncmp(text, plan.root, plan.root_length) == 0 &&
           (text[plan.root_length] == '/' || text[plan.root_length] == 0);
  }
};

void note(const char* line, int length) {
  if (plan.log >= 0 && length > 0) ::syscall(SYS_write, plan.log, line, static_cast<size_t>(length));
}

// One call, from its number to its end.
class Call {
 public:
  Call(const char* name, const Path& path, const Path* other = nullptr) {
    const Path* told = path.counts() || other == nullptr ? &path : other;
    if (!told->counts()) return;
    if (other != nullptr && other->counts()) told = other;
    int saved = errno;
    number_ = ++calls;
    after_ = over.load();
    bool counted = plan.only[0] == 0 || std::strcmp(plan.only, name) == 0;
    meant_ = counted && ++meant_calls == plan.at;
    if (meant_) over = true;
    char line[3 * PATH_MAX];
    note(line, std::snprintf(line, sizeof line, "%ld %s %s\n", number_, name, told->text));
    if (meant_) note(line, std::snprintf(line, sizeof line, "meant %ld\n", number_));
    if (meant_ && plan.deed == Deed::kill_before) die();
    errno = saved;
  }
  // Whether it is to fail instead of being made; errno is set.
  bool fails() {
    if ((meant_ && (plan.deed == Deed::fail || plan.deed == Deed::fail_on)) ||
        (after_ && (plan.deed == Deed::fail_on || plan.deed == Deed::shorten_on))) {
      end(-plan.error);
      errno = plan.error;
      return true;
    }
    return false;
  }
  // How many bytes of a write are let through.
  size_t bytes(size_t count) const {
    bool shortens = meant_ && (plan.deed == Deed::shorten || plan.deed == Deed::shorten_on);
    return shortens && count > 1 ? count / 2 : count;
  }
  template <class Result>
  Result done(Result result) {
    int saved = errno;
    end(static_cast<long>(result));
    if (meant_ && plan.deed == Deed::kill_after) die();
    errno = saved;
    return result;
  }

 private:
  void end(long result) const {
    if (number_ == 0) return;
    char line[64];
    note(line, std::snprintf(line, sizeof line, "done %ld %ld\n", number_, result));
  }
  long number_ = 0;  // 0: none of those that count
  bool meant_ = false;
  bool after_ = false;  // it began after the one that is meant
};

Path path_of(int folder, const char* name) {
  Path path;
  path.of_name(folder, name);
  return path;
}

Path path_of(int fd) {
  Path path;
  path.of_descriptor(fd);
  return path;
}

// libc's own; looked up once. (dlsym takes no memory where it finds the name.)
void* real(std::atomic<void*>& known, const char* name) {
  void* found = known.load(std::memory_order_relaxed);
  if (found == nullptr) {
    found = ::dlsym(RTLD_NEXT, name);
    known.store(found, std::memory_order_relaxed);
  }
  return found;
}

bool changes(int flags) { return (flags & (O_CREAT | O_TRUNC)) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

}  // namespace

// REAL(pwrite) is libc's pwrite.
#define REAL(name)                            \
  (reinterpret_cast<decltype(name)*>([] {     \
    static std::atomic<void*> known{nullptr}; \
    return real(known, #name);                \
  }()))

// A function of one path, whose failure is -1.
#define WRAP_PATH(name, folder, file, parameters, arguments) \
  extern "C" int name parameters {                           \
    Call call(#name, path_of(folder, file));                 \
    if (call.fails()) return -1;                             \
    return call.done(REAL(name) arguments);                  \
  }

// A function of one descriptor, whose failure is -1.
#define WRAP_DESCRIPTOR(name, parameters, arguments) \
  extern "C" int name parameters {                   \
    Call call(#name, path_of(fd));                   \
    if (call.fails()) return -1;                     \
    return call.done(REAL(name) arguments);          \
  }

// A function of two paths.
#define WRAP_TWO(name, folder1, file1, folder2, file2, parameters, arguments) \
  extern "C" int name parameters {                                            \
    Path second = path_of(folder2, file2);                                    \
    Call call(#name, path_of(folder1, file1), &second);                       \
    if (call.fails()) return -1;                                              \
    return call.done(REAL(name) arguments);                                   \
  }

#define WRAP_OPEN(name)                                        \
  extern "C" int name(const char* file, int flags, ...) {      \
    va_list rest;                                              \
    va_start(rest, flags);                                     \
    mode_t mode = changes(flags) ? va_arg(rest, mode_t) : 0;   \
    va_end(rest);                                              \
    if (!changes(flags)) return REAL(name)(file, flags, mode); \
    Call call(#name, path_of(AT_FDCWD, file));                 \
    if (call.fails()) return -1;                               \
    return call.done(REAL(name)(file, flags, mode));           \
  }

#define WRAP_OPENAT(name)                                              \
  extern "C" int name(int folder, const char* file, int flags, ...) {  \
    va_list rest;                                                      \
    va_start(rest, flags);                                             \
    mode_t mode = changes(flags) ? va_arg(rest, mode_t) : 0;           \
    va_end(rest);                                                      \
    if (!changes(flags)) return REAL(name)(folder, file, flags, mode); \
    Call call(#name, path_of(folder, file));                           \
    if (call.fails()) return -1;                                       \
    return call.done(REAL(name)(folder, file, flags, mode));           \
  }

#define WRAP_FOPEN(name)                                                     \
  extern "C" FILE* name(const char* file, const char* mode) {                \
    if (std::strpbrk(mode, "wa+") == nullptr) return REAL(name)(file, mode); \
    Call call(#name, path_of(AT_FDCWD, file));                               \
    if (call.fails()) return nullptr;                                        \
    FILE* stream = REAL(name)(file, mode);                                   \
    call.done(stream == nullptr ? -1 : 0);                                   \
    return stream;                                                           \
  }

WRAP_OPEN(open)
WRAP_OPEN(open64)
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)
WRAP_FOPEN(fopen)
WRAP_FOPEN(fopen64)
WRAP_PATH(creat, AT_FDCWD, file, (const char* file, mode_t mode), (file, mode))
WRAP_PATH(mkdir, AT_FDCWD, file, (const char* file, mode_t mode) noexcept, (file, mode))
WRAP_PATH(mkdirat, folder, file, (int folder, const char* file, mode_t mode) noexcept, (folder, file, mode))
WRAP_PATH(rmdir, AT_FDCWD, file, (const char* file) noexcept, (file))
WRAP_PATH(unlink, AT_FDCWD, file, (const char* file) noexcept, (file))
WRAP_PATH(unlinkat, folder, file, (int folder, const char* file, int flags) noexcept, (folder, file, flags))
WRAP_PATH(remove, AT_FDCWD, file, (const char* file) noexcept, (file))
WRAP_PATH(truncate, AT_FDCWD, file, (const char* file, off_t length) noexcept, (file, length))
WRAP_PATH(truncate64, AT_FDCWD, file, (const char* file, off64_t length) noexcept, (file, length))
WRAP_PATH(symlink, AT_FDCWD, file, (const char* target, const char* file) noexcept, (target, file))
WRAP_PATH(utimensat, folder, file, (int folder, const char* file, const timespec* times, int flags) noexcept,
          (folder, file, times, flags))
WRAP_TWO(rename, AT_FDCWD, from, AT_FDCWD, to, (const char* from, const char* to) noexcept, (from, to))
WRAP_TWO(renameat, folder1, from, folder2, to,
         (int folder1, const char* from, int folder2, const char* to) noexcept, (folder1, from, folder2, to))
WRAP_TWO(renameat2, folder1, from, folder2, to,
         (int folder1, const char* from, int folder2, const char* to, unsigned flags) noexcept,
         (folder1, from, folder2, to, flags))
WRAP_TWO(link, AT_FDCWD, from, AT_FDCWD, to, (const char* from, const char* to) noexcept, (from, to))
WRAP_TWO(linkat, folder1, from, folder2, to,
         (int folder1, const char* from, int folder2, const char* to, int flags) noexcept,
         (folder1, from, folder2, to, flags))
WRAP_DESCRIPTOR(ftruncate, (int fd, off_t length) noexcept, (fd, length))
WRAP_DESCRIPTOR(ftruncate64, (int fd, off64_t length) noexcept, (fd, length))
WRAP_DESCRIPTOR(fallocate, (int fd, int mode, off_t from, off_t length), (fd, mode, from, length))
WRAP_DESCRIPTOR(fallocate64, (int fd, int mode, off64_t from, off64_t length), (fd, mode, from, length))
WRAP_DESCRIPTOR(fsync, (int fd), (fd))
WRAP_DESCRIPTOR(fdatasync, (int fd), (fd))
WRAP_DESCRIPTOR(futimens, (int fd, const timespec* times) noexcept, (fd, times))

extern "C" int posix_fallocate(int fd, off_t from, off_t length) {
  Call call("posix_fallocate", path_of(fd));
  if (call.fails()) return plan.error;
  return call.done(REAL(posix_fallocate)(fd, from, length));
}

extern "C" ssize_t write(int fd, const void* bytes, size_t count) {
  Call call("write", path_of(fd));
  if (call.fails()) return -1;
  return call.done(REAL(write)(fd, bytes, call.bytes(count)));
}

extern "C" ssize_t pwrite(int fd, const void* bytes, size_t count, off_t at) {
  Call call("pwrite", path_of(fd));
  if (call.fails()) return -1;
  return call.done(REAL(pwrite)(fd, bytes, call.bytes(count), at));
}

extern "C" ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t at) {
  Call call("pwrite64", path_of(fd));
  if (call.fails()) return -1;
  return call.done(REAL(pwrite64)(fd, bytes, call.bytes(count), at));
}

// A shortened vector ends with its first part.
extern "C" ssize_t writev(int fd, const iovec* parts, int count) {
  Call call("writev", path_of(fd));
  if (call.fails()) return -1;
  if (call.bytes(2) == 1) count = 1;
  return call.done(REAL(writev)(fd, parts, count));
}

extern "C" ssize_t pwritev(int fd, const iovec* parts, int count, off_t at) {
  Call call("pwritev", path_of(fd));
  if (call.fails()) return -1;
  if (call.bytes(2) == 1) count = 1;
  return call.done(REAL(pwritev)(fd, parts, count, at));
}

// What stdio writes of itself goes past write(): the log's lines. A stream whose lines leave it at once.
extern "C" size_t fwrite(const void* items, size_t bytes, size_t count, FILE* stream) {
  Call call("fwrite", path_of(::fileno(stream)));
  if (call.fails()) return 0;
  return call.done(REAL(fwrite)(items, bytes, call.bytes(count), stream));
}
