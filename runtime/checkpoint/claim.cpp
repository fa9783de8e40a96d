#include "checkpoint/claim.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <limits>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "base/atomic_file.h"
#include "checkpoint/holder.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view start_prefix = "start-";
constexpr std::string_view aside_prefix = ".claim-";
// A contender's folder of another host is left alone for so long.
constexpr auto aside_lifetime = std::chrono::hours(1);
// Contenders that were faster, one after the other.
constexpr int most_attempts = 1000;

std::string start_folder_name(int64_t start) { return fmt::format("{}{:04}", start_prefix, start); }

// The number in "start-0004", or 0.
int64_t start_of_folder_name(const std::string& name) {
  std::string_view digits = name;
  if (!digits.starts_with(start_prefix)) return 0;
  digits.remove_prefix(start_prefix.size());
  int64_t start = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), start);
  bool whole = error == std::errc() && end == digits.data() + digits.size() && start > 0;
  return whole && name == start_folder_name(start) ? start : 0;
}

struct Found {
  int64_t newest = 0;            // the highest number; 0: none
  std::vector<fs::path> starts;  // all of them
  std::vector<fs::path> asides;  // contenders' folders
};

Found list_starts(const fs::path& checkpoints) {
  Found found;
  std::error_code error;
  for (auto entry = fs::directory_iterator(checkpoints, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (name.starts_with(aside_prefix)) found.asides.push_back(entry->path());
    int64_t start = start_of_folder_name(name);
    if (start == 0) continue;
    found.starts.push_back(entry->path());
    found.newest = std::max(found.newest, start);
  }
  if (error)
    throw IoError("{}: cannot list the starts of the run: {}", checkpoints.string(), error.message());
  return found;
}

// A listing may miss both a folder that is made and one that is moved away while it runs: what two in a row
// say was so.
Found look_around(const fs::path& checkpoints) {
  Found found = list_starts(checkpoints);
  for (Found again; (again = list_starts(checkpoints)).newest != found.newest;) found = std::move(again);
  return found;
}

// Whether nothing is there under this name; a file system that does not answer is no absence.
bool is_gone(const fs::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) != 0 && (errno == ENOENT || errno == ESTALE);
}

[[noreturn]] void throw_taken_over(const fs::path& workshop) {
  fs::path checkpoints = workshop.parent_path();
  int64_t newest = is_gone(checkpoints) ? 0 : look_around(checkpoints).newest;
  if (newest <= start_of_folder_name(workshop.filename().string())) {
    throw IoError("{}: is gone, though no other start has taken the run over: was the run directory moved?",
                  workshop.string());
  }
  std::optional<Holder> holder = read_holder(checkpoints / start_folder_name(newest));
  throw ClaimError("the run has been taken over by {}: this start must not write any more",
                   holder ? describe(*holder) : "another start");
}

// Whether the process of this host that made the folder, by its name, is gone.
bool maker_is_gone(const fs::path& aside, const Holder& own) {
  std::string name = aside.filename().string();
  std::string host = fmt::format("{}{}-", aside_prefix, own.host);
  if (!name.starts_with(host)) return false;
  int64_t pid = 0;
  auto [end, error] = std::from_chars(name.data() + host.size(), name.data() + name.size(), pid);
  return error == std::errc() && pid > 0 && ::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH;
}

// Of contenders that were killed: those of this system by their process, others by their age, which is by the
// file system's clock, as `newest`, a file just written, has it. One that cannot be removed does no harm.
void remove_dead_asides(const std::vector<fs::path>& asides, const fs::path& newest) {
  std::error_code error;
  auto now = fs::last_write_time(newest, error);
  if (error) return;
  Holder own = own_holder();
  for (const fs::path& aside : asides) {
    auto made = fs::last_write_time(aside, error);
    bool old = !error && now - made > aside_lifetime;
    if (maker_is_gone(aside, own) || old) fs::remove_all(aside, error);
  }
}

// Makes the folder aside and tries to rename it to its number: false when another was faster.
bool try_start(const fs::path& checkpoints, const Holder& holder) {
  static std::atomic<int64_t> count{0};  // names alone: two claims of one process must not share a folder
  fs::path aside = checkpoints / fmt::format("{}{}-{}-{}", aside_prefix, holder.host, holder.pid, ++count);
  auto clean = [&aside] {
    std::error_code ignored;
    fs::remove_all(aside, ignored);
  };
  try {
    make_directories(aside);
    write_file_atomically(aside / Holder::living_name, holder_json(holder));
    fs::path target = checkpoints / start_folder_name(holder.start);
    if (::rename(aside.c_str(), target.c_str()) == 0) return true;
    if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOENT) {
      throw IoError("{}: cannot claim the run: {}", target.string(), std::strerror(errno));
    }
  } catch (...) {
    clean();
    throw;
  }
  clean();
  return false;
}

// Retries, since one that is being fenced may be making a file inside at this moment.
void remove_tree(const fs::path& path) {
  std::error_code error;
  // NFS keeps what somebody has open under another name for a while.
  for (auto pause = std::chrono::milliseconds(1); pause < std::chrono::seconds(3); pause *= 4) {
    fs::remove_all(path, error);
    if (!error) return;
    std::this_thread::sleep_for(pause);
  }
  throw IoError("{}: cannot be removed: {}; remove it by hand and start again", path.string(),
                error.message());
}

// From here on no earlier start can commit: what it would rename lies elsewhere, and is gone. (A rename(2)
// that is under way, or an NFS client that knows the folder by its handle, is stopped by the removal alone.)
void fence(const fs::path& checkpoints, int64_t own, const fs::path& workshop) {
  for (const fs::path& start : list_starts(checkpoints).starts) {
    if (start_of_folder_name(start.filename().string()) >= own) continue;
    fs::path taken = workshop / fmt::format("former-{}", start.filename().string());
    if (::rename(start.c_str(), taken.c_str()) == 0) {
      remove_tree(taken);
      continue;
    }
    int error = errno;
    if (is_gone(workshop)) throw_taken_over(workshop);
    if (error != ENOENT) {
      throw IoError("{}: cannot take over the run from an earlier start: {}", start.string(),
                    std::strerror(error));
    }
  }
}

// Whether SLURM has started again a job whose former start did not come to the run's end.
bool is_restart(const Holder& former, const Holder& holder) {
  return !former.done && is_same_job(former, holder);
}

}  // namespace

struct RunClaim::State {
  fs::path workshop;
  Holder holder;
  std::mutex mutex;
  std::condition_variable ending;
  bool ends = false;
  std::thread heart;

  // A thread that takes none of the signals that ask a run to stop.
  void start_heart(double seconds) {
    sigset_t all;
    sigset_t former;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &former);
    try {
      heart = std::thread(&State::beat, this, seconds);
    } catch (...) {
      ::pthread_sigmask(SIG_SETMASK, &former, nullptr);
      throw;
    }
    ::pthread_sigmask(SIG_SETMASK, &former, nullptr);
  }

  void beat(double seconds) {
    fs::path file = workshop / Holder::living_name;
    std::unique_lock lock(mutex);
    while (!ending.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return ends; })) {
      // It fails where a later start has taken the folder: the next commit finds out.
      ::utimensat(AT_FDCWD, file.c_str(), nullptr, 0);
    }
  }

  void end() noexcept {
    {
      std::lock_guard lock(mutex);
      ends = true;
    }
    ending.notify_all();
    if (heart.joinable()) heart.join();
    ::rename((workshop / Holder::living_name).c_str(), (workshop / Holder::ended_name).c_str());
  }

  void write_holder() const {
    try {
      write_file_atomically(workshop / Holder::living_name, holder_json(holder));
    } catch (const IoError&) {
      if (is_gone(workshop)) throw_taken_over(workshop);
      throw;
    }
  }
};

RunClaim::RunClaim(const fs::path& checkpoints, const ClaimOptions& options)
    : state_(std::make_unique<State>()) {
  make_directories(checkpoints);
  Patience patience{options.silence_seconds, options.tell};
  std::optional<Holder> former;
  for (int attempt = 0;; ++attempt) {
    Found found = look_around(checkpoints);
    former.reset();
    if (found.newest > 0) {
      fs::path theirs = checkpoints / start_folder_name(found.newest);
      former = read_holder(theirs);
      if (found.newest != options.succeeds && lives(theirs, former, patience)) {
        throw ClaimError("{} is in use by {}: wait until it has ended, end it, or choose another --run-dir",
                         checkpoints.parent_path().string(), former ? describe(*former) : theirs.string());
      }
    }
    Holder& holder = state_->holder;
    holder = own_holder();
    holder.start = found.newest + 1;
    // For whoever comes after a kill within the next lines, which is a start without progress, too.
    if (former && is_restart(*former, holder)) {
      holder.emptied = former->emptied;
      holder.newest_step = former->newest_step;
      holder.starts_without_progress = former->starts_without_progress + 1;
    } else {
      holder.newest_step = std::numeric_limits<int64_t>::max();
    }
    if (try_start(checkpoints, holder)) {
      sync_directory(checkpoints);
      // A number that was taken when we looked may be free again, its holder swept away by a later start.
      if (look_around(checkpoints).newest == holder.start) break;
      std::error_code swept;
      fs::remove_all(checkpoints / start_folder_name(holder.start), swept);
    }
    if (attempt == most_attempts) {
      throw IoError("{}: cannot claim the run: others were faster {} times", checkpoints.string(), attempt);
    }
  }
  state_->workshop = checkpoints / start_folder_name(state_->holder.start);
  try {
    // From the first moment: finding out what can be gone on from may take longer than a contender waits.
    state_->start_heart(options.heartbeat_seconds);
    fence(checkpoints, state_->holder.start, state_->workshop);
    remove_dead_asides(list_starts(checkpoints).asides, state_->workshop / Holder::living_name);
    sync_directory(checkpoints);
    count_progress(former, options);
  } catch (...) {
    state_->end();
    throw;
  }
}

void RunClaim::count_progress(const std::optional<Holder>& former, const ClaimOptions& options) {
  Holder& holder = state_->holder;
  holder.newest_step = options.newest_step ? options.newest_step() : -1;
  bool restarted = former && is_restart(*former, holder);
  bool progress = former && holder.newest_step > former->newest_step;
  bool succeeds = options.succeeds > 0 && holder.start == options.succeeds + 1;  // no start of the job
  int64_t count = restarted && !progress ? former->starts_without_progress + (succeeds ? 0 : 1) : 0;
  // A start that is refused is not counted, so that raising the limit by one lets one more begin.
  holder.starts_without_progress = std::min(count, options.restarts);
  state_->write_holder();
  if (count <= options.restarts) return;
  throw NoProgressError(
      "SLURM job {} has been started again {} times without a newer checkpoint than that of step {}: see the "
      "log "
      "for why it ends each time, then submit it anew (checkpoint.restarts = {} allows for more)",
      holder.job_id, count, holder.newest_step, options.restarts);
}

RunClaim::~RunClaim() { state_->end(); }

void RunClaim::mark_emptied() {
  state_->holder.emptied = true;
  state_->write_holder();
}

bool RunClaim::emptied_by_this_job() const { return state_->holder.emptied; }

void RunClaim::mark_done() {
  state_->holder.done = true;
  state_->write_holder();
}

int64_t RunClaim::start() const { return state_->holder.start; }

const fs::path& RunClaim::workshop() const { return state_->workshop; }

int64_t newest_start(const fs::path& checkpoints) {
  return is_gone(checkpoints) ? 0 : look_around(checkpoints).newest;
}

void require_workshop(const fs::path& workshop) {
  if (is_gone(workshop)) throw_taken_over(workshop);
}

void commit_from_workshop(const fs::path& workshop, const fs::path& file, const fs::path& target) {
  if (::rename(file.c_str(), target.c_str()) != 0) {
    int error = errno;
    require_workshop(workshop);
    throw IoError("{}: rename into place failed: {}", target.string(), std::strerror(error));
  }
  sync_directory(target.parent_path());
}

}  // namespace trireme
