#include "sweep/shared_journals.h"

#include <fmt/format.h>

#include <charconv>
#include <system_error>

#include "base/error.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".trj";

// The worker of "12.trj", or -1.
int64_t worker_of_name(const std::string& name) {
  int64_t worker = -1;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), worker);
  bool right = error == std::errc() && std::string_view(end, name.data() + name.size()) == suffix;
  return right ? worker : -1;
}

void apply_all(const std::vector<Record>& records, int64_t worker, const fs::path& path, History& history) {
  try {
    for (const Record& record : records) history.apply(record, worker);
  } catch (const DataError& error) {
    throw DataError("{}: {}", path.string(), error.what());
  }
}

// A new sweep begins without the journals of all who have worked on the former one.
JournalOptions for_all(const fs::path& folder, int64_t worker, JournalOptions options) {
  if (!options.start_over) return options;
  options.start_over = [folder, worker, options] {
    for (const auto& [other, path] : find_journals(folder)) {
      if (other != worker) remove_journal(path, options);
    }
    options.start_over();
  };
  return options;
}

}  // namespace

fs::path journal_path(const fs::path& folder, int64_t worker) {
  return folder / "journal" / fmt::format("{}{}", worker, suffix);
}

std::map<int64_t, fs::path> find_journals(const fs::path& folder) {
  std::map<int64_t, fs::path> journals;
  std::error_code error;
  fs::directory_iterator entry(folder / "journal", error);
  if (error == std::errc::no_such_file_or_directory) return journals;
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    int64_t worker = worker_of_name(entry->path().filename().string());
    if (worker >= 0) journals.emplace(worker, entry->path());
  }
  if (error)
    throw IoError("{}: cannot list the journals: {}", (folder / "journal").string(), error.message());
  return journals;
}

SharedJournals::SharedJournals(const fs::path& folder, int64_t worker, History& history,
                               const JournalOptions& options)
    : folder_(folder),
      worker_(worker),
      history_(history),
      writer_(journal_path(folder, worker), for_all(folder, worker, options)),
      claims_(folder, worker) {
  apply_all(past(), worker, journal_path(folder, worker), history);
  refresh();
}

void SharedJournals::for_each(const std::function<void(const Record&, int64_t worker)>& tell) const {
  for (const Record& record : writer_.content().records) tell(record, worker_);
  for (const auto& [worker, content] : others_) {
    for (const Record& record : content.records) tell(record, worker);
  }
}

int64_t SharedJournals::refresh(const std::function<void(const Record&, int64_t worker)>& told) {
  int64_t count = 0;
  for (const auto& [worker, path] : find_journals(folder_)) {
    if (worker == worker_) continue;
    std::vector<Record> records = read_more(path, others_[worker]);
    apply_all(records, worker, path, history_);
    for (const Record& record : records) {
      if (told) told(record, worker);
    }
    count += static_cast<int64_t>(records.size());
  }
  return count;
}

}  // namespace trireme
