#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <limits>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "base/atomic_file.h"
#include "base/descriptor.h"
#include "base/error.h"
#include "sweep/journal.h"
#include "sweep/journal_line.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

// Lines that come within it share one fsync.
constexpr auto gathering_time = std::chrono::milliseconds(200);

// Kept free behind the journal's end, where the file system can: on a full disk there is room for the words
// of a sweep that ends by it.
constexpr uint64_t last_words_bytes = uint64_t{128} << 10;

bool is_last_word(const Record& record) {
  if (std::holds_alternative<CloseRecord>(record.what)) return true;
  auto* end = std::get_if<EndRecord>(&record.what);
  return end != nullptr && (end->state == "interrupted" || end->state == "crashed");
}

fs::path claim_folder(fs::path path) { return path.replace_extension(".claim"); }

ClaimOptions claim_options(const fs::path& path, const JournalOptions& options) {
  ClaimOptions claim;
  claim.restarts = std::numeric_limits<int64_t>::max();
  if (options.progress) {
    claim.restarts = options.restarts;
    claim.newest_step = [&options, path]() -> int64_t {
      try {
        return options.progress(read_journal(path).records);
      } catch (const DataError&) {
        return 0;  // it is refused where it is taken over, unless a new one is begun in its place
      }
    };
  }
  claim.heartbeat_seconds = options.heartbeat_seconds;
  claim.silence_seconds = options.silence_seconds;
  claim.tell = options.tell;
  return claim;
}

std::unique_ptr<RunClaim> claim_journal(const fs::path& path, const JournalOptions& options) {
  try {
    return std::make_unique<RunClaim>(claim_folder(path), claim_options(path, options));
  } catch (const ClaimError& error) {
    throw ClaimError("{}: {}", path.string(), error.what());
  } catch (const NoProgressError&) {
    throw NoProgressError(
        "{}: this SLURM job has been started again more than {} times without a trial getting any further: "
        "see "
        "the log for why it ends each time, then submit it anew (checkpoint.restarts = {} of the base config "
        "allows for more)",
        path.string(), options.restarts, options.restarts);
  }
}

// 0, or errno. `done` counts what was written.
int write_at(int file, std::string_view text, uint64_t offset) {
  while (!text.empty()) {
    ssize_t written = ::pwrite(file, text.data(), text.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return ENOSPC;
    text.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return 0;
}

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

struct JournalWriter::State {
  fs::path path;
  std::unique_ptr<RunClaim> claim;
  JournalContent content;
  std::optional<Descriptor> file;

  std::mutex mutex;
  std::condition_variable work;  // for the thread that syncs
  std::condition_variable synced_more;
  uint64_t bytes = 0;
  uint64_t reserved = 0;  // up to where the file has room
  std::string chain;
  int64_t appended = 0;  // records in the file
  double last_time = 0;  // of the newest record
  int64_t synced = 0;    // of them, on the disk
  bool hurry = false;    // somebody waits
  bool ends = false;
  std::string broken;  // why nothing can be appended any more
  std::thread syncing;

  void take_over(const JournalOptions& options);
  void replace_file(std::string_view text);
  void start_syncing();
  void sync_on();
  bool reserve(uint64_t more);
  [[noreturn]] void throw_not_written(int error);  // 0: nothing was, for want of room
};

// A copy, renamed into place: what a former writer still has open is another file from then on.
void JournalWriter::State::replace_file(std::string_view text) {
  const fs::path& workshop = claim->workshop();
  fs::path aside = workshop / path.filename();
  file.emplace(::open(aside.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  int error = file->get() < 0 ? errno : write_at(file->get(), text, 0);
  if (error == 0 && ::fsync(file->get()) != 0) error = errno;
  if (error != 0) {
    require_workshop(workshop);
    throw IoError(
        "{}: cannot write a copy of the journal to go on in: {}: it is as it was; make room and start again",
        aside.string(), std::strerror(error));
  }
  commit_from_workshop(workshop, aside, path);
}

void JournalWriter::State::take_over(const JournalOptions& options) {
  auto tell = [&options](const std::string& text) {
    if (options.tell) options.tell(text);
  };
  bool begins = static_cast<bool>(options.start_over);
  if (begins && claim->emptied_by_this_job()) {
    tell("a new sweep was begun by an earlier start of this SLURM job: this one goes on");
    begins = false;
  }
  if (begins) {
    options.start_over();
    replace_file("");
    claim->mark_emptied();
  } else {
    content = read_journal(path);
    if (!content.torn.empty()) tell(torn_warning(path, content));
    replace_file(std::string_view(content.bytes == 0 ? "" : read_file(path)).substr(0, content.bytes));
  }
  bytes = content.bytes;
  chain = content.chain;
  appended = synced = static_cast<int64_t>(content.records.size());
  if (!content.records.empty()) last_time = content.records.back().time;
}

// A thread that takes none of the signals that ask a sweep to stop.
void JournalWriter::State::start_syncing() {
  sigset_t all;
  sigset_t former;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &former);
  try {
    syncing = std::thread(&State::sync_on, this);
  } catch (...) {
    ::pthread_sigmask(SIG_SETMASK, &former, nullptr);
    throw;
  }
  ::pthread_sigmask(SIG_SETMASK, &former, nullptr);
}

// Group commit: the first line after a rest wakes it, those of the gathering time come along, and one fsync
// serves all.
void JournalWriter::State::sync_on() {
  std::unique_lock lock(mutex);
  while (true) {
    work.wait(lock, [this] { return ends || synced < appended; });
    if (synced == appended) return;
    work.wait_for(lock, gathering_time, [this] { return ends || hurry; });
    hurry = false;
    int64_t target = appended;
    lock.unlock();
    int error = ::fdatasync(file->get()) == 0 ? 0 : errno;
    lock.lock();
    if (error != 0) {
      // The kernel may have thrown the pages away: a second fsync would say nothing about them.
      broken = fmt::format(
          "{}: fsync failed: {}: the newest records are not safe from a power failure; mend the disk and "
          "start again, the sweep goes on from what is there",
          path.string(), std::strerror(error));
      synced_more.notify_all();
      return;
    }
    synced = target;
    synced_more.notify_all();
  }
}

// Whether there is room for so many bytes and the last words behind them, as far as can be known.
bool JournalWriter::State::reserve(uint64_t more) {
  if (bytes + more + last_words_bytes <= reserved) return true;
  uint64_t end = bytes + more + 2 * last_words_bytes;
  if (::fallocate(file->get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(bytes),
                  static_cast<off_t>(end - bytes)) == 0) {
    reserved = end;
    return true;
  }
  if (errno == ENOSPC || errno == EDQUOT) return false;
  reserved = std::numeric_limits<uint64_t>::max();  // this file system knows no such thing
  return true;
}

void JournalWriter::State::throw_not_written(int error) {
  if (error != 0 && ::ftruncate(file->get(), static_cast<off_t>(bytes)) != 0) {
    broken = fmt::format(
        "{}: the end of a half written line cannot be cut off again: {}: start again, it is dropped then",
        path.string(), std::strerror(errno));
  }
  if (error == 0) error = ENOSPC;
  bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  throw IoError(
      "{}: record {} cannot be appended: {}: nothing of it is kept and all before it is; {}, and start again",
      path.string(), appended, std::strerror(error), full ? "make room" : "mend the disk");
}

JournalWriter::JournalWriter(const fs::path& path, const JournalOptions& options)
    : state_(std::make_unique<State>()) {
  state_->path = path;
  make_directories(path.has_parent_path() ? path.parent_path() : fs::path("."));
  state_->claim = claim_journal(path, options);
  state_->take_over(options);
  state_->start_syncing();
}

JournalWriter::~JournalWriter() {
  {
    std::lock_guard lock(state_->mutex);
    state_->ends = true;
  }
  state_->work.notify_all();
  state_->syncing.join();
}

const JournalContent& JournalWriter::content() const { return state_->content; }

Record JournalWriter::append(Record record) {
  State& state = *state_;
  std::lock_guard lock(state.mutex);
  if (!state.broken.empty()) throw IoError("{}", state.broken);
  require_workshop(state.claim->workshop());
  record.number = state.appended;
  // A clock may be set back, or a requeue land on another's: what comes later is never older.
  record.time = state.last_time = std::max(state.last_time, seconds_since_1970());
  std::string json = to_json(record);
  std::string digits = journal_digits_of(state.chain, json);
  std::string line = fmt::format("{}{} {}\n", journal_magic, digits, json);
  if (!state.reserve(line.size()) && !is_last_word(record)) state.throw_not_written(0);
  if (int error = write_at(state.file->get(), line, state.bytes)) state.throw_not_written(error);
  state.bytes += line.size();
  state.chain = std::move(digits);
  bool rested = state.synced == state.appended++;
  if (rested) state.work.notify_one();
  return record;
}

void JournalWriter::sync() {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  int64_t target = state.appended;
  if (state.synced < target && state.broken.empty()) {
    state.hurry = true;
    state.work.notify_one();
    state.synced_more.wait(lock, [&] { return state.synced >= target || !state.broken.empty(); });
  }
  if (!state.broken.empty()) throw IoError("{}", state.broken);
}

void JournalWriter::mark_done() { state_->claim->mark_done(); }

void remove_journal(const fs::path& path, const JournalOptions& options) {
  JournalOptions without_limit = options;
  without_limit.progress = {};  // it may be damaged, and is not gone on with
  std::unique_ptr<RunClaim> claim = claim_journal(path, without_limit);
  std::error_code error;
  fs::remove(path, error);
  if (error) throw IoError("{}: cannot be removed: {}", path.string(), error.message());
}

}  // namespace trireme
