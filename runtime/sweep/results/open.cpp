#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "sweep/journal.h"
#include "sweep/results.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

struct WorkerJournal {
  int64_t worker = 0;
  fs::path path;
  JournalContent content;
};

// journal/0.trj, journal/12.trj ..., by number.
std::vector<WorkerJournal> read_journals(const fs::path& folder) {
  std::vector<WorkerJournal> journals;
  std::error_code error;
  for (fs::directory_iterator entry(folder / "journal", error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path& path = entry->path();
    std::string stem = path.stem().string();
    int64_t worker = -1;
    auto [rest, wrong] = std::from_chars(stem.data(), stem.data() + stem.size(), worker);
    if (path.extension() != ".trj" || wrong != std::errc() || rest != stem.data() + stem.size()) continue;
    journals.push_back({.worker = worker, .path = path, .content = read_journal(path)});
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw IoError("{}: cannot be read: {}", (folder / "journal").string(), error.message());
  }
  std::sort(journals.begin(), journals.end(),
            [](const WorkerJournal& a, const WorkerJournal& b) { return a.worker < b.worker; });
  return journals;
}

// The newest touch of a writer's files in journal/: it beats its heart there (checkpoint/claim.h).
double newest_touch(const fs::path& folder) {
  double newest = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder / "journal", error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;  // gone meanwhile
    fs::file_time_type time = fs::last_write_time(entry->path(), ignored);
    if (ignored) continue;
    auto since = std::chrono::file_clock::to_sys(time).time_since_epoch();
    newest = std::max(newest, std::chrono::duration<double>(since).count());
  }
  return newest;
}

// All records by their times; those of one worker in their order, whatever its clock says.
std::vector<SweepEvent> merge(const std::vector<WorkerJournal>& journals) {
  std::vector<SweepEvent> events;
  std::vector<size_t> next(journals.size(), 0);
  for (;;) {
    size_t first = journals.size();
    for (size_t j = 0; j < journals.size(); ++j) {
      const std::vector<Record>& records = journals[j].content.records;
      if (next[j] == records.size()) continue;
      bool earlier = first == journals.size() ||
                     records[next[j]].time < journals[first].content.records[next[first]].time;
      if (earlier) first = j;
    }
    if (first == journals.size()) return events;
    events.push_back({journals[first].worker, journals[first].content.records[next[first]++]});
  }
}

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

SweepView open_sweep(const std::filesystem::path& folder) {
  if (is_absent(folder / "sweep.toml")) {
    throw MissingInputError("{}: no sweep.toml there: it is no sweep's folder (runs/<sweep.name>)",
                            folder.string());
  }
  SweepConfig config = load_sweep_config((folder / "sweep.toml").string());
  Config base = load_sweep_base(config);
  std::vector<WorkerJournal> journals = read_journals(folder);
  bool shared = journals.size() > 1 || (!journals.empty() && journals.front().worker != 0);
  Space space = make_space(config, base);
  History history(config.at == "best", shared);
  SweepView view{.config = std::move(config), .space = std::move(space), .history = std::move(history)};
  view.max_epochs = base.train.epochs;
  for (SweepEvent& event : merge(journals)) view.add(std::move(event));
  view.last_sign = std::max(view.last_sign, newest_touch(folder));
  // A line that is being written looks torn too: that is nothing to be told of.
  if (!view.is_open() || view.is_silent(seconds_since_1970())) {
    for (const WorkerJournal& journal : journals) {
      if (!journal.content.torn.empty()) view.warnings.push_back(torn_warning(journal.path, journal.content));
    }
  }
  return view;
}

}  // namespace trireme
