#include "sweep/claims.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

// So many numbers that others were faster to take, one after the other: by then a look at all is cheaper.
constexpr int most_misses = 8;

// The number in "000123", or -1.
int64_t number_of_name(const std::string& name) {
  int64_t number = -1;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() ? number : -1;
}

bool is_known(const History& history, int64_t number) {
  return std::cmp_less(number, history.trials().size()) && !history.trial(number).point.empty();
}

}  // namespace

TrialClaims::TrialClaims(const fs::path& folder, int64_t worker)
    : folder_(folder / "claims"),
      name_file_(folder_ / fmt::format("worker-{}", worker)),
      name_(fmt::format("worker {}\n", worker)) {
  make_directories(folder_);
  write_name();
}

fs::path TrialClaims::path_of(int64_t number) const { return folder_ / fmt::format("{:06}", number); }

void TrialClaims::write_name() { write_file_atomically(name_file_, name_); }

// What is claimed, and what of it is ours and came to nothing: only numbers of which no journal tells are
// read.
void TrialClaims::look_around(const History& history) {
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder_, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    int64_t number = number_of_name(entry->path().filename().string());
    if (number < 0) continue;
    next_ = std::max(next_, number + 1);
    if (!looked_ && !is_known(history, number) && read_file(entry->path()) == name_) unused_.insert(number);
  }
  if (error) throw IoError("{}: cannot list the claimed trials: {}", folder_.string(), error.message());
  looked_ = true;
}

std::optional<int64_t> TrialClaims::claim(const History& history, int64_t limit) {
  if (!looked_) look_around(history);
  std::erase_if(unused_, [&history](int64_t number) { return is_known(history, number); });
  if (!unused_.empty() && (limit <= 0 || *unused_.begin() < limit)) {
    return unused_.extract(unused_.begin()).value();
  }
  next_ = std::max(next_, static_cast<int64_t>(history.trials().size()));
  for (int misses = 1; limit <= 0 || next_ < limit; ++misses) {
    if (take(next_)) return next_++;
    ++next_;
    if (misses % most_misses == 0) look_around(history);
  }
  return std::nullopt;
}

// Whether the number is ours now; false when another has it.
bool TrialClaims::take(int64_t number) {
  fs::path claim = path_of(number);
  if (::link(name_file_.c_str(), claim.c_str()) == 0) return true;
  int error = errno;
  if (error == EMLINK) {  // a file system allows for so many names of one file: the next ones are another's
    write_name();
    if (::link(name_file_.c_str(), claim.c_str()) == 0) return true;
    error = errno;
  }
  // Over NFS a call may be sent twice, when the first answer is lost: then the second finds our own deed.
  if (error == EEXIST) return is_our_link(number);
  if (error == EPERM || error == EOPNOTSUPP || error == ENOSYS) {
    throw IoError(
        "{}: cannot claim a trial: this file system has no hard links ({}); put the sweep on another one by "
        "--run-dir",
        claim.string(), std::strerror(error));
  }
  throw IoError("{}: cannot claim a trial: {}", claim.string(), std::strerror(error));
}

bool TrialClaims::is_our_link(int64_t number) const {
  struct stat name {};
  struct stat claim {};
  return ::lstat(name_file_.c_str(), &name) == 0 && ::lstat(path_of(number).c_str(), &claim) == 0 &&
         name.st_ino == claim.st_ino && name.st_dev == claim.st_dev;
}

}  // namespace trireme
