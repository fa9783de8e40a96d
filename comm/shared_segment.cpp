// How a segment comes about, for each kind in turn until one works on all ranks:
//   1. rank 0 makes the file, gives it its size and tells the others where it is
//   2. every rank opens and maps it, and reserves its own part by touching it
//   3. all tell each other whether that worked
#include "comm/shared_segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/error.h"
#include "comm/world.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14; the C library's headers may be older
#endif
#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26)
#endif

namespace trireme {
namespace {

constexpr size_t huge_page = size_t{2} << 20;
constexpr size_t prefault_limit = size_t{1} << 30;  // of a whole segment: beyond it page tables come by use

size_t page_size() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }
size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

// What one rank tells the others about its try.
struct Outcome {
  int32_t error = 0;  // errno, 0 when all went well
  std::array<char, 124> step{};

  bool good() const { return error == 0; }
  void fail(int code, const std::string& text) {
    error = code == 0 ? EIO : code;
    std::strncpy(step.data(), text.c_str(), step.size() - 1);
  }
};

// Where rank 0's file is.
struct Whereabouts {
  Outcome outcome;
  int64_t process = 0;
  int32_t descriptor = -1;
  std::array<char, 60> name{};  // of shm_open
  uint64_t device = 0;          // to know the file by: a process number may mean another process elsewhere
  uint64_t inode = 0;
};

struct Descriptor {
  int number = -1;
  Descriptor() = default;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number >= 0) close(number);
  }
};

// A name in /dev/shm is gone when its maker leaves the attempt, by whatever way: whoever was to open it has.
struct ShmName {
  std::string name;
  ShmName() = default;
  ShmName(const ShmName&) = delete;
  ShmName& operator=(const ShmName&) = delete;
  ~ShmName() {
    if (!name.empty()) shm_unlink(name.c_str());
  }
};

// The number behind `key` in a file of lines "key number ...", or in a file of one number; 0 where there is
// none.
size_t number_in(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string word;
  size_t value = 0;
  if (key.empty()) {
    file >> value;
    return file ? value : 0;
  }
  while (file >> word) {
    if (word == key) {
      file >> value;
      return file ? value : 0;
    }
  }
  return 0;
}

// Whether the node has that much to give; the kernel would find out by killing somebody.
void check_room(SegmentKind kind, size_t bytes, Outcome& outcome) {
  if (kind == SegmentKind::huge) {
    size_t pages = number_in("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "");
    if (pages * huge_page < bytes) outcome.fail(ENOMEM, fmt::format("{} huge pages are free", pages));
    return;
  }
  size_t available = number_in("/proc/meminfo", "MemAvailable:") * 1024;
  if (available != 0 && bytes > available) {
    outcome.fail(ENOMEM, fmt::format("the node has {} MiB left", available >> 20));
  }
}

const char* name_of(SegmentKind kind) {
  return kind == SegmentKind::huge    ? "memory file in huge pages"
         : kind == SegmentKind::memfd ? "memory file"
                                      : "shm_open";
}

// Rank 0: makes the file.
void create(SegmentKind kind, size_t bytes, Descriptor& file, ShmName& name, Whereabouts& here) {
  check_room(kind, bytes, here.outcome);
  if (!here.outcome.good()) return;
  if (kind == SegmentKind::posix) {
    static std::atomic<unsigned> number{0};  // of segments made by this process: tells names apart
    name.name = fmt::format("/trireme-{}-{}", getpid(), number.fetch_add(1));
    file.number = shm_open(name.name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file.number < 0) {
      here.outcome.fail(errno, "shm_open");
      name.name.clear();
      return;
    }
    std::strncpy(here.name.data(), name.name.c_str(), here.name.size() - 1);
  } else {
    unsigned flags = MFD_CLOEXEC | (kind == SegmentKind::huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0u);
    file.number = memfd_create("trireme", flags);
    if (file.number < 0) return here.outcome.fail(errno, "memfd_create");
  }
  if (ftruncate(file.number, static_cast<off_t>(bytes)) != 0) {
    return here.outcome.fail(errno, fmt::format("ftruncate to {} bytes", bytes));
  }
  struct stat about {};
  if (fstat(file.number, &about) != 0) return here.outcome.fail(errno, "fstat");
  here.process = getpid();
  here.descriptor = file.number;
  here.device = about.st_dev;
  here.inode = about.st_ino;
}

// The others: open it.
void open_file(const Whereabouts& there, Descriptor& file, Outcome& outcome) {
  if (there.name[0] != 0) {
    file.number = shm_open(there.name.data(), O_RDWR | O_CLOEXEC, 0600);
    if (file.number < 0) return outcome.fail(errno, fmt::format("shm_open {}", there.name.data()));
  } else {
    std::string path = fmt::format("/proc/{}/fd/{}", there.process, there.descriptor);
    file.number = open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (file.number < 0) return outcome.fail(errno, "open " + path);
  }
  struct stat about {};
  if (fstat(file.number, &about) != 0) return outcome.fail(errno, "fstat");
  if (about.st_dev != there.device || about.st_ino != there.inode) {
    outcome.fail(ESTALE, "what was opened is another file: the ranks see different processes or /dev/shm");
  }
}

// Makes the pages of this rank's own part exist, in this rank's NUMA node.
void reserve(SegmentKind kind, int file, std::byte* part, size_t offset, size_t bytes, Outcome& outcome) {
  if (bytes == 0) return;
  // Populating, unlike fallocate, goes through the mapping and so heeds the advice to use huge pages. On a
  // tmpfs with a limit fallocate is the one that says so in words.
  if (kind != SegmentKind::posix) {
    if (madvise(part, bytes, MADV_POPULATE_WRITE) == 0) return;
    if (errno != EINVAL) return outcome.fail(errno, fmt::format("touching {} bytes", bytes));
  }
  int error = posix_fallocate(file, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  if (error != 0) return outcome.fail(error, fmt::format("posix_fallocate of {} bytes", bytes));
}

}  // namespace

SharedSegment::SharedSegment(Communicator& group, size_t bytes, std::span<const SegmentKind> kinds) {
  const auto ranks = static_cast<size_t>(group.size());
  std::vector<uint64_t> all(ranks);
  uint64_t mine = bytes;
  group.all_gather(&mine, 1, DType::int64, all.data());
  bytes_.assign(all.begin(), all.end());
  bounds_.push_back(0);
  size_t most = 0;
  bool too_much = false;
  for (size_t part : bytes_) {
    most = std::max(most, part);
    size_t unit = part >= huge_page ? huge_page : page_size();
    size_t first = round_up(bounds_.back(), unit);
    bounds_.back() = first;  // a gap before it belongs to nobody
    too_much = too_much || part > (size_t{1} << 60) || first > (size_t{1} << 60);
    bounds_.push_back(first + (too_much ? 0 : round_up(part, unit)));
  }
  total_ = round_up(bounds_.back(), most >= huge_page ? huge_page : page_size());
  if (total_ == 0 && !too_much) return;

  std::string tried;
  for (SegmentKind kind : kinds) {
    if (too_much) break;
    if (kind == SegmentKind::huge && most < huge_page) continue;
    std::string failure = attempt(group, kind);
    if (failure.empty()) {
      kind_ = kind;
      return;
    }
    tried += fmt::format("; {}: {}", name_of(kind), failure);
  }
  throw CommError(
      "rank {} on {}: allocate: no shared memory for the {} ranks of this node, of which this one asked for "
      "{} "
      "bytes{}. Ask for less, give the node's /dev/shm more room, or set comm.backend = \"mpi\", which needs "
      "none",
      group.rank(), host_name(), group.size(), bytes, too_much ? ": more than any node has" : tried);
}

// Empty when all ranks have the mapping, else why not; nobody has it then.
std::string SharedSegment::attempt(Communicator& group, SegmentKind kind) {
  const auto me = static_cast<size_t>(group.rank());
  Descriptor file;
  ShmName name;
  Whereabouts there;
  if (me == 0) create(kind, total_, file, name, there);
  group.broadcast(&there, sizeof there, 0);

  Outcome outcome = there.outcome;
  if (me != 0 && outcome.good()) open_file(there, file, outcome);
  std::byte* base = nullptr;
  if (outcome.good()) {
    void* memory = mmap(nullptr, total_, PROT_READ | PROT_WRITE, MAP_SHARED, file.number, 0);
    if (memory == MAP_FAILED) {
      outcome.fail(errno, fmt::format("mmap of {} bytes", total_));
    } else {
      base = static_cast<std::byte*>(memory);
      // Advice only: where shmem has no huge pages, which most kernels' default is, it changes nothing.
      if (kind != SegmentKind::huge && total_ >= huge_page) madvise(base, total_, MADV_HUGEPAGE);
      reserve(kind, file.number, base + bounds_[me], bounds_[me], round_up(bytes_[me], page_size()), outcome);
    }
  }

  std::vector<Outcome> all(static_cast<size_t>(group.size()));
  group.all_gather(&outcome, sizeof outcome, DType::uint8, all.data());
  for (size_t r = 0; r < all.size(); ++r) {
    if (all[r].good()) continue;
    if (base != nullptr) munmap(base, total_);
    return fmt::format("rank {}: {}: {}", r, all[r].step.data(), std::strerror(all[r].error));
  }
  base_ = base;
  // Everybody's pages exist now: entering them into this rank's page tables takes none from their owners.
  if (total_ <= prefault_limit) madvise(base_, bounds_.back(), MADV_POPULATE_WRITE);
  return "";
}

SharedSegment::~SharedSegment() {
  if (base_ != nullptr) munmap(base_, total_);
}

}  // namespace trireme
