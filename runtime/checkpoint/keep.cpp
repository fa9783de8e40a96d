#include "checkpoint/keep.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <system_error>

#include "base/atomic_file.h"
#include "base/error.h"
#include "checkpoint/claim.h"
#include "checkpoint/manifest.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view state_prefix = "state-";

std::vector<fs::path> entries(const fs::path& directory) {
  std::vector<fs::path> found;
  std::error_code error;
  for (auto entry = fs::directory_iterator(directory, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    found.push_back(entry->path());
  }
  return found;
}

std::optional<Manifest> readable_manifest(const fs::path& directory) {
  try {
    return read_manifest(directory);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

// What the rule's metric says of it: the lower the better.
std::optional<double> badness(const Manifest& manifest, const std::string& metric) {
  if (!manifest.validation || manifest.validation->step != manifest.step) return std::nullopt;
  for (const auto& [name, value] : validation_figures(*manifest.validation)) {
    if (name == metric && !std::isnan(value)) return metric == "accuracy" ? -value : value;
  }
  return std::nullopt;
}

}  // namespace

std::vector<CheckpointEntry> not_kept(const std::vector<CheckpointEntry>& checkpoints, const KeepRule& rule) {
  std::set<int64_t> kept;
  struct Judged {
    double badness;
    int64_t step;
  };
  std::vector<Judged> judged;
  int64_t newest = 0;
  for (const CheckpointEntry& entry : checkpoints) {
    bool wanted = rule.every > 0 && entry.step % rule.every == 0;
    if (rule.newest <= 0 || newest < rule.newest) {
      wanted = true;
      if (readable_manifest(entry.directory)) ++newest;
    }
    if (wanted) kept.insert(entry.step);
    if (rule.best <= 0) continue;
    auto manifest = readable_manifest(entry.directory);
    if (auto bad = manifest ? badness(*manifest, rule.metric) : std::nullopt)
      judged.push_back({*bad, entry.step});
  }
  // Newest first they are already, and so are equals after a stable sort.
  std::ranges::stable_sort(judged, {}, &Judged::badness);
  for (size_t i = 0; i < judged.size() && static_cast<int64_t>(i) < rule.best; ++i)
    kept.insert(judged[i].step);
  std::vector<CheckpointEntry> gone;
  for (const CheckpointEntry& entry : checkpoints) {
    if (!kept.contains(entry.step)) gone.push_back(entry);
  }
  return gone;
}

void delete_checkpoint(const fs::path& checkpoint, const fs::path& workshop) {
  std::optional<Manifest> manifest = readable_manifest(checkpoint);
  fs::path taken = workshop / fmt::format("deleted-{}", checkpoint.filename().string());
  commit_from_workshop(workshop, checkpoint / Manifest::file_name, taken);
  sync_directory(checkpoint);
  std::error_code ignored;
  if (manifest) {
    for (const ManifestFile& file : manifest->files) fs::remove(checkpoint / file.name, ignored);
  }
  fs::remove(taken, ignored);
  fs::remove(checkpoint, ignored);  // fails where something else lies in it: a leftover
}

void remove_leftovers(const fs::path& checkpoints, int64_t start) {
  std::error_code ignored;
  for (const fs::path& directory : entries(checkpoints)) {
    if (step_of_folder_name(directory.filename().string()) < 0) continue;
    std::set<std::string> named = {Manifest::file_name};
    // Only where there is none for sure: an answer that fails must not cost a checkpoint its files.
    if (!is_absent(directory / Manifest::file_name)) {
      std::optional<Manifest> manifest = readable_manifest(directory);
      if (!manifest) continue;  // a damaged one stays to be looked at, until it is let go
      for (const ManifestFile& file : manifest->files) named.insert(file.name);
    }
    for (const fs::path& file : entries(directory)) {
      std::string name = file.filename().string();
      if (!named.contains(name) && start_of_file_name(name) <= start) fs::remove_all(file, ignored);
    }
    fs::remove(directory, ignored);  // an empty one alone
  }
}

void tidy_up(const fs::path& checkpoints, const fs::path& workshop, int64_t start, int64_t step,
             const KeepRule& rule) {
  // One that cannot be deleted (another owner's) is no reason to keep the others.
  auto remove = [&workshop](const CheckpointEntry& entry) {
    try {
      delete_checkpoint(entry.directory, workshop);
    } catch (const std::exception&) {
    }
  };
  try {
    std::vector<CheckpointEntry> stay;
    for (const CheckpointEntry& entry : list_checkpoints(checkpoints)) {
      if (entry.step > step) {
        remove(entry);
      } else {
        stay.push_back(entry);
      }
    }
    for (const CheckpointEntry& entry : not_kept(stay, rule)) remove(entry);
    remove_leftovers(checkpoints, start);
  } catch (const std::exception&) {
  }
}

std::string state_file_name(int64_t start, int shard, bool again) {
  return fmt::format("{}{:04}-{}{}.h5", state_prefix, start, shard, again ? "-again" : "");
}

int64_t start_of_file_name(const std::string& name) {
  std::string_view digits = name;
  if (!digits.starts_with(state_prefix)) return 0;
  digits.remove_prefix(state_prefix.size());
  int64_t start = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), start);
  bool followed = end != digits.data() + digits.size() && *end == '-';
  return error == std::errc() && followed ? start : 0;
}

}  // namespace trireme
