#include "inspect/verify.h"

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "base/hash.h"
#include "base/hashed_file.h"
#include "base/human.h"
#include "checkpoint/manifest.h"
#include "inspect/table.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

std::string hash_of(const fs::path& path, int64_t manifest_version) {
  if (manifest_version == 1) return sha256_of_file(path);
  HashedFile file;
  read_hashed_file(path, file);
  return file.xxh3;
}

// What is wrong with a file, empty when nothing is.
std::string fault_of(const fs::path& directory, const ManifestFile& file, int64_t manifest_version) {
  fs::path path = directory / file.name;
  std::error_code error;
  if (!fs::exists(path, error)) return "is missing";
  uint64_t bytes = fs::file_size(path, error);
  if (error) return "cannot be read: " + error.message();
  if (bytes != file.bytes) return fmt::format("has {} bytes, the manifest says {}", bytes, file.bytes);
  try {
    if (hash_of(path, manifest_version) == file.hash) return "";
  } catch (const Error& unreadable) {
    return unreadable.what();
  }
  return "has other bytes than were written: another hash";
}

}  // namespace

bool VerifiedCheckpoint::good() const {
  return fault.empty() &&
         std::all_of(files.begin(), files.end(), [](const VerifiedFile& file) { return file.fault.empty(); });
}

VerifiedCheckpoint verify_checkpoint(const fs::path& directory) {
  VerifiedCheckpoint result{directory, {}};
  fs::path path = directory / Manifest::file_name;
  VerifiedFile& own = result.files.emplace_back(VerifiedFile{Manifest::file_name, 0});
  if (!fs::exists(path)) {
    own.fault = "is missing: the checkpoint was never finished";
    return result;
  }
  std::error_code ignored;
  own.bytes = fs::is_regular_file(path, ignored) ? fs::file_size(path, ignored) : 0;
  Manifest manifest;
  try {
    manifest = read_manifest(directory);
  } catch (const Error& error) {
    own.fault = error.what();
    return result;
  }
  for (const ManifestFile& file : manifest.files) {
    result.files.push_back({file.name, file.bytes, fault_of(directory, file, manifest.version)});
  }
  if (!result.good()) return result;
  try {
    Checkpoint opened(directory);
  } catch (const Error& error) {
    result.fault = error.what();
  }
  return result;
}

Report verify_report(const Where& where) {
  std::vector<fs::path> folders;
  if (where.checkpoint) folders.push_back(*where.checkpoint);
  if (!where.checkpoint) {
    for (const CheckpointEntry& entry : list_checkpoints(where.checkpoints)) {
      folders.push_back(entry.directory);
    }
  }
  if (folders.empty()) throw MissingInputError("{}: holds no checkpoint", where.checkpoints.string());

  Report report;
  report.json = {{"good", true}, {"checkpoints", nlohmann::ordered_json::array()}};
  int64_t verified = 0, bad = 0;
  for (const fs::path& folder : folders) {
    VerifiedCheckpoint checkpoint = verify_checkpoint(folder);
    // A run that goes on deletes checkpoints, the manifest first: one that vanishes meanwhile is not bad.
    if (!checkpoint.good() && !where.checkpoint && !fs::exists(folder / Manifest::file_name)) continue;
    if (!checkpoint.good()) ++bad;
    ++verified;
    TextTable table({"file", ">size", "state"});
    nlohmann::ordered_json files = nlohmann::ordered_json::array();
    for (const VerifiedFile& file : checkpoint.files) {
      table.add({file.name, human_bytes(static_cast<double>(file.bytes)),
                 file.fault.empty() ? "good" : "damaged: " + file.fault});
      nlohmann::ordered_json object = {
          {"name", file.name}, {"bytes", file.bytes}, {"good", file.fault.empty()}};
      if (!file.fault.empty()) object["fault"] = file.fault;
      files.push_back(object);
    }
    report.text +=
        fmt::format("{}: {}\n{}", folder.string(), checkpoint.good() ? "good" : "damaged", table.text(2));
    if (!checkpoint.fault.empty()) report.text += "  " + checkpoint.fault + "\n";
    nlohmann::ordered_json object = {
        {"directory", folder.string()}, {"good", checkpoint.good()}, {"files", files}};
    if (!checkpoint.fault.empty()) object["fault"] = checkpoint.fault;
    report.json["checkpoints"].push_back(object);
  }
  report.bad = bad > 0;
  report.json["good"] = bad == 0;
  report.text +=
      fmt::format("{} verified, {} bad\n", counted(static_cast<int64_t>(folders.size()), "checkpoint"), bad);
  return report;
}

}  // namespace trireme
