#include "inspect/list.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/human.h"
#include "checkpoint/manifest.h"
#include "inspect/table.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

uint64_t bytes_in(const fs::path& directory) {
  uint64_t bytes = 0;
  std::error_code error;
  for (auto entry = fs::directory_iterator(directory, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::error_code ignored;
    auto size = entry->file_size(ignored);
    if (!ignored) bytes += size;
  }
  return bytes;
}

// What is known without believing the files: the manifest's word.
void fill_from_manifest(ListedCheckpoint& row) {
  try {
    Manifest manifest = read_manifest(row.directory);
    row.epoch = manifest.epoch;
    if (manifest.start > 0) row.start = manifest.start;
    row.validation = manifest.validation;
  } catch (const Error&) {
    // That it is damaged is said by whoever opens the checkpoint.
  }
}

ListedCheckpoint examined(const fs::path& directory) {
  ListedCheckpoint row;
  row.directory = directory;
  row.step = std::max<int64_t>(step_of_folder_name(directory.filename().string()), 0);
  row.bytes = bytes_in(directory);
  row.written = written_at(directory);
  if (!fs::exists(directory / Manifest::file_name)) {
    row.state = CheckpointState::unfinished;
    return row;
  }
  fill_from_manifest(row);
  try {
    Checkpoint checkpoint(directory);
    const CheckpointRun& run = checkpoint.run();
    row.step = run.step;
    row.epoch = run.epoch;
    row.ranks = run.world_size;
    row.validation = run.validation;
    if (checkpoint.start() > 0) row.start = checkpoint.start();
  } catch (const Error& error) {
    // A run that goes on deletes checkpoints, the manifest first: one that vanishes meanwhile is not damaged.
    bool vanished = !fs::exists(directory / Manifest::file_name);
    row.state = vanished ? CheckpointState::unfinished : CheckpointState::damaged;
    if (!vanished) row.fault = error.what();
  }
  return row;
}

const char* name_of(CheckpointState state) {
  switch (state) {
    case CheckpointState::good:
      return "good";
    case CheckpointState::damaged:
      return "damaged";
    case CheckpointState::unfinished:
      return "unfinished";
  }
  return "?";
}

template <class T>
std::string cell(const std::optional<T>& value) {
  return value ? fmt::format("{}", *value) : "-";
}

template <class T>
nlohmann::ordered_json json_of(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

}  // namespace

std::vector<ListedCheckpoint> list_with_states(const Where& where) {
  std::vector<ListedCheckpoint> rows;
  if (where.checkpoint) {
    rows.push_back(examined(*where.checkpoint));
    return rows;
  }
  std::error_code error;
  std::vector<fs::path> folders;
  for (auto entry = fs::directory_iterator(where.checkpoints, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (step_of_folder_name(entry->path().filename().string()) >= 0) folders.push_back(entry->path());
  }
  if (error) throw IoError("{}: cannot be listed: {}", where.checkpoints.string(), error.message());
  std::sort(folders.rbegin(), folders.rend());  // steps have leading zeros
  for (const fs::path& folder : folders) {
    ListedCheckpoint row = examined(folder);
    if (fs::exists(folder)) rows.push_back(std::move(row));
  }
  return rows;
}

Report list_report(const Where& where) {
  std::vector<ListedCheckpoint> rows = list_with_states(where);
  int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  Report report;
  report.json = {{"checkpoints_directory", where.checkpoints.string()},
                 {"checkpoints", nlohmann::ordered_json::array()}};
  TextTable table({">step", ">epoch", ">size", ">age", "validation", ">ranks", ">start", "state"});
  for (const ListedCheckpoint& row : rows) {
    std::string state = name_of(row.state);
    if (row.state == CheckpointState::damaged) state += ": " + row.fault;
    if (row.state == CheckpointState::unfinished) {
      state += ": it has no manifest; it is being written or deleted, or a killed writer has left it";
    }
    double age = static_cast<double>(std::max<int64_t>(now - row.written, 0));
    table.add({fmt::format("{}", row.step), cell(row.epoch), human_bytes(static_cast<double>(row.bytes)),
               row.written > 0 ? human_duration(age) : "-",
               row.validation ? validation_text(*row.validation) : "-", cell(row.ranks), cell(row.start),
               state});
    nlohmann::ordered_json object = {
        {"step", row.step},
        {"epoch", json_of(row.epoch)},
        {"directory", row.directory.string()},
        {"bytes", row.bytes},
        {"written", row.written > 0 ? nlohmann::ordered_json(row.written) : nullptr},
        {"age_seconds", row.written > 0 ? nlohmann::ordered_json(age) : nullptr},
        {"ranks", json_of(row.ranks)},
        {"start", json_of(row.start)},
        {"state", name_of(row.state)}};
    object["validation"] =
        row.validation ? validation_json(*row.validation) : nlohmann::ordered_json(nullptr);
    if (!row.fault.empty()) object["fault"] = row.fault;
    report.json["checkpoints"].push_back(object);
  }
  report.text = where.checkpoints.string() + "\n";
  report.text += table.empty() ? "  no checkpoint\n" : table.text(2);
  return report;
}

}  // namespace trireme
