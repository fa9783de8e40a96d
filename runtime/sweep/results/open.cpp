// Reading a sweep's folder back, beside whoever writes it.
#include <algorithm>
#include <chrono>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "sweep/journal.h"
#include "sweep/results.h"
#include "sweep/shared_journals.h"
#include "train/job_end.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

struct WorkerJournal {
  int64_t worker = 0;
  fs::path path;
  JournalContent content;
};

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
std::vector<std::pair<const WorkerJournal*, const Record*>> merge(
    const std::vector<WorkerJournal>& journals) {
  std::vector<std::pair<const WorkerJournal*, const Record*>> merged;
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
    if (first == journals.size()) return merged;
    merged.emplace_back(&journals[first], &journals[first].content.records[next[first]++]);
  }
}

}  // namespace

SweepView open_sweep_without_records(const fs::path& folder, bool shared) {
  if (is_absent(folder / "sweep.toml")) {
    throw MissingInputError("{}: no sweep.toml there: it is no sweep's folder (runs/<sweep.name>)",
                            folder.string());
  }
  SweepConfig config = load_sweep_config((folder / "sweep.toml").string());
  Config base = load_sweep_base(config);
  Space space = make_space(config, base);
  History history(config.at == "best", shared);
  SweepView view{.config = std::move(config), .space = std::move(space), .history = std::move(history)};
  view.max_epochs = base.train.epochs;
  return view;
}

SweepView open_sweep(const fs::path& folder) {
  std::vector<WorkerJournal> journals;
  for (const auto& [worker, path] : find_journals(folder)) {
    journals.push_back({.worker = worker, .path = path, .content = read_journal(path)});
  }
  bool shared = journals.size() > 1 || (!journals.empty() && journals.front().worker != 0);
  SweepView view = open_sweep_without_records(folder, shared);
  for (const auto& [journal, record] : merge(journals)) {
    try {
      view.add({.worker = journal->worker, .record = *record});
    } catch (const DataError& error) {
      throw DataError("{}: {}", journal->path.string(), error.what());
    }
  }
  view.last_sign = std::max(view.last_sign, newest_touch(folder));
  // A line that is being written looks torn too: that is nothing to be told of.
  if (!view.is_open() || view.is_silent(JobEnd::unix_seconds())) {
    for (const WorkerJournal& journal : journals) {
      if (!journal.content.torn.empty()) view.warnings.push_back(torn_warning(journal.path, journal.content));
    }
  }
  return view;
}

fs::path find_sweep(const std::string& text, const std::string& run_directory) {
  std::error_code ignored;
  fs::path path(text);
  if (fs::is_directory(path, ignored)) {
    if (!run_directory.empty())
      throw UsageError("--run-dir goes with a sweep file, and {} is a folder", text);
    if (is_absent(path / "sweep.toml")) {
      throw MissingInputError("{}: no sweep.toml there: it is no sweep's folder (runs/<sweep.name>)", text);
    }
    return path;
  }
  if (!fs::is_regular_file(path, ignored)) {
    throw MissingInputError("{}: neither a sweep's folder (runs/<sweep.name>) nor a sweep file", text);
  }
  fs::path beside = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (path.filename() == "sweep.toml" && fs::is_directory(beside / "journal", ignored)) return beside;
  SweepConfig config = load_sweep_config(text);
  fs::path folder = run_directory.empty() ? fs::path("runs") / config.sweep.name : fs::path(run_directory);
  if (is_absent(folder / "sweep.toml")) {
    throw MissingInputError(
        "{}: the sweep of {} has not been begun there (--run-dir DIR if it lies elsewhere)", folder.string(),
        text);
  }
  return folder;
}

}  // namespace trireme
