#include "train/run_directory.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/atomic_file.h"
#include "base/error.h"
#include "checkpoint/keep.h"
#include "checkpoint/reader.h"

namespace trireme {
namespace fs = std::filesystem;
namespace {

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) throw IoError("{}: cannot be removed: {}", path.string(), error.message());
}

}  // namespace

void RunDirectory::empty(const fs::path& workshop) const {
  // The newest state goes last: a kill in between leaves nothing that looks whole but is not. The claim to
  // the run, which lies with the checkpoints, stays.
  remove_notes();
  std::vector<CheckpointEntry> all = list_checkpoints(checkpoints());
  for (auto entry = all.rbegin(); entry != all.rend(); ++entry) delete_checkpoint(entry->directory, workshop);
  remove_leftovers(checkpoints(), std::numeric_limits<int64_t>::max());
  sync_directory(path_);
}

void RunDirectory::remove_notes() const {
  for (const fs::path& one : {summary(), metrics(), config(), log()}) remove_tree(one);
}

bool RunDirectory::says_finished() const {
  if (!fs::exists(summary())) return false;
  nlohmann::json json = nlohmann::json::parse(read_file(summary()), nullptr, false);
  return json.is_object() && json.value("state", "") == "finished";
}

void RunDirectory::begin() const { remove_tree(summary()); }

}  // namespace trireme
